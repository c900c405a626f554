"""The direction of imports and the law of each folder, read from the source.

docs/design.md, "Layers". Nothing is imported here, so that a broken rule shows as a sentence and
not as an import that fails.
"""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# From the lowest up; a module of `streaming` that is in neither folder is a face.
LAYERS = ("core", "engine", "face", "app")

# To this list belongs only what computes: the same answer to the same arguments, at once.
CORE_IMPORTS = frozenset(
    """
    abc base64 binascii bisect codecs collections collections.abc contextlib dataclasses
    datetime difflib email.utils encodings.aliases enum functools hashlib hmac heapq http ipaddress
    itertools json math operator re string types typing unicodedata urllib.parse zlib
    msgspec
    """.split()
)
NEVER_IN_CORE = frozenset("asyncio os random secrets socket sys threading time uuid".split())
# What an allowed module or the language itself offers beyond computing.
IMPURE_CALLS = frozenset("now utcnow today open input print eval exec __import__".split())

WEB_FRAMEWORKS = frozenset("click flask quart starlette werkzeug".split())

# (module, what it imports inside a function): why it cannot stand at the top.
LATE_IMPORTS: dict[tuple[str, str], str] = {
    ("streaming.engine.engine", "streaming.engine.runs_redis"): "the package redis is an extra",
    ("streaming.cli", "streaming.engine.redis_check"): "the package redis is an extra",
}

VAGUE_NAMES = frozenset("base common helper helpers manager managers misc util utils".split())


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


PATHS = {
    module_name(path): path
    for path in [*ROOT.glob("app_*.py"), *sorted((ROOT / "streaming").rglob("*.py"))]
}
TREES = {name: ast.parse(path.read_bytes(), path) for name, path in PATHS.items()}


def layer_of(module: str) -> str | None:
    """Say in which layer a module stands; None: it is not ours."""
    first, _, rest = module.partition(".")
    if first.startswith("app_"):
        return "app"
    if first != "streaming":
        return None
    folder = rest.partition(".")[0]
    return folder if folder in LAYERS else "face"


def trees(layer: str) -> dict[str, ast.Module]:
    found = {name: tree for name, tree in TREES.items() if layer_of(name) == layer}
    assert found, f"no source in the layer {layer}"
    return found


def imports(tree: ast.AST) -> Iterator[str]:
    """Give every module that a tree imports, at its top or inside."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module, "imports are absolute"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in TREES else node.module


def late_imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from imports(node)


def test_every_layer_has_source() -> None:
    """The folders are where this file looks for them."""
    assert {layer_of(name) for name in TREES} == set(LAYERS)


def test_imports_point_down() -> None:
    """No module imports from a layer above its own."""
    rank = LAYERS.index
    upward = [
        f"{name} imports {target}"
        for name, tree in TREES.items()
        for target in imports(tree)
        if (layer := layer_of(target)) and rank(layer) > rank(layer_of(name))
    ]
    assert upward == []


def test_no_cycles() -> None:
    """Each module can be read after all that it imports."""
    graph = {name: {t for t in imports(tree) if t in TREES} for name, tree in TREES.items()}
    try:
        order = list(TopologicalSorter(graph).static_order())
    except CycleError as exc:
        pytest.fail(" imports ".join(reversed(exc.args[1])))
    assert sorted(order) == sorted(TREES)


def test_core_imports_only_what_computes() -> None:
    """Core imports core, the JSON codec and a closed list of the standard library."""
    foreign = [
        f"{name} imports {target}"
        for name, tree in trees("core").items()
        for target in imports(tree)
        if layer_of(target) != "core" and target not in CORE_IMPORTS
    ]
    assert foreign == []


def test_core_list_holds_no_clock_or_chance() -> None:
    """The closed list itself never takes in a clock, a thread, randomness or input and output."""
    assert not CORE_IMPORTS & NEVER_IN_CORE


def test_core_calls_nothing_impure() -> None:
    """Core asks no clock and opens nothing through what it may import."""
    called = [
        f"{name}:{node.lineno} calls {callee}"
        for name, tree in trees("core").items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and (callee := getattr(node.func, "attr", getattr(node.func, "id", ""))) in IMPURE_CALLS
    ]
    assert called == []


def test_core_never_waits() -> None:
    """Core holds no coroutine, no await and no asynchronous loop."""
    waiting = (ast.AsyncFunctionDef, ast.Await, ast.AsyncFor, ast.AsyncWith)
    found = [
        f"{name}:{getattr(node, 'lineno', '?')}"
        for name, tree in trees("core").items()
        for node in ast.walk(tree)
        if isinstance(node, waiting) or getattr(node, "is_async", 0)
    ]
    assert found == []


def test_engine_knows_no_web_framework() -> None:
    """What waits is the same under each framework and under none."""
    known = [
        f"{name} imports {target}"
        for name, tree in trees("engine").items()
        for target in imports(tree)
        if target.partition(".")[0] in WEB_FRAMEWORKS
    ]
    assert known == []


def test_imports_stand_at_the_top() -> None:
    """Only the listed imports stand inside a function, and each listed one still does."""
    late = {(name, target) for name, tree in TREES.items() for target in late_imports(tree)}
    assert late == set(LATE_IMPORTS)


def test_apps_only_wire_together() -> None:
    """Each app file has fewer than 40 lines."""
    lengths = {name: len(PATHS[name].read_text().splitlines()) for name in trees("app")}
    assert lengths.keys() == {"app_flask", "app_quart"}
    assert max(lengths.values()) < 40, lengths


def test_names_say_what_a_module_is() -> None:
    """No module has a name that would fit any other."""
    vague = [name for name in TREES if VAGUE_NAMES & set(name.replace(".", "_").split("_"))]
    assert vague == []
