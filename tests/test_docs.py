"""What docs/contract.md says in tables is what the code says.

The tables of `Configuration` are compared with the dataclasses both ways, so that neither a key nor
a default can change alone.
"""

import re
import tomllib
from dataclasses import MISSING, Field, fields
from importlib import import_module
from typing import Any

import pytest

from streaming.application import THREADS_VARIABLE
from streaming.config import CONFIG_VARIABLE, DEMO_UPSTREAMS_VARIABLE
from streaming.core.errors_request import RequestError
from streaming.core.errors_upstream import UpstreamError
from streaming.core.feed import Feed
from streaming.core.param import RESERVED_PARAMETERS, Param
from streaming.core.routes import ROUTES
from streaming.core.settings import AuthSettings, LogSettings, ServerSettings
from streaming.core.upstream import DEFAULT_MAX_BYTES, STREAMED, Upstream
from streaming.engine.control import CONTROL_VARIABLE
from streaming.logs import LEVEL_VARIABLE
from tests.serving import ROOT

DOCS = ROOT / "docs"
CONTRACT = (DOCS / "contract.md").read_text()

SECTIONS = [
    *("Events", "Wires", "HTTP interface", "Upstream calls", "Configuration", "Starting it"),
]
TABLES = {
    "[server]": ServerSettings,
    "[log]": LogSettings,
    "[auth]": AuthSettings,
    "[feeds.<feed>]": Feed,
    "[feeds.<feed>.params.<parameter>]": Param,
    "[feeds.<feed>.upstreams.<upstream>]": Upstream,
}
# A default that is worked out from others is said in words; in the code it is None.
WORDS = {"absent": None, "the feed's": None, "by Attempts": None, "required": MISSING}
# The name, and the tables within.
NOT_KEYS = {"name", "params", "upstreams"}


def rows_after(mark: str) -> list[list[str]]:
    """Give the cells of the first table after a line that begins so."""
    after = CONTRACT.partition(f"\n{mark}")[2]
    assert after, f"nothing begins with {mark}"
    _, _, *rows = re.search(r"(?:^\|.*\n)+", after, re.MULTILINE)[0].splitlines()
    return [[cell.strip() for cell in row.split("|")[1:-1]] for row in rows]


def default_of(cell: str) -> Any:
    if cell in WORDS:
        return WORDS[cell]
    value = tomllib.loads(f"value = {cell.strip('`')}")["value"]
    return tuple(value) if isinstance(value, list) else value


def default_in_code(field: Field[Any]) -> Any:
    if field.name == "max_bytes" and field.default is None:
        return DEFAULT_MAX_BYTES  # of a body that is read whole; a stream has none
    return field.default if field.default_factory is MISSING else field.default_factory()


def test_its_sections_are_those_that_the_code_names() -> None:
    """Docstrings point to sections by their titles."""
    assert re.findall(r"^## (.*)", CONTRACT, re.MULTILINE) == SECTIONS


@pytest.mark.parametrize("table", TABLES)
def test_keys_and_defaults_are_those_of_the_code(table: str) -> None:
    """Each key stands in its table, with its default, and no other does."""
    said = {row[0].strip("`"): default_of(row[1]) for row in rows_after(f"`{table}`")}
    known = {
        field.name: default_in_code(field)
        for field in fields(TABLES[table])
        if field.init and field.name not in NOT_KEYS
    }
    assert said == known


def test_fixed_bounds_are_those_of_the_code() -> None:
    """Each constant has the value that the table says."""
    for constant, value, _ in rows_after("What is bounded and not configured"):
        module, _, name = constant.strip("`").rpartition(".")
        assert getattr(import_module(module), name) == int(value.strip("`")), constant


def test_codes_are_those_of_the_code() -> None:
    """Each code of a failure has its row."""
    codes = [row[0].strip("`") for row in rows_after("`code` is one of a closed list")]
    assert sorted(codes) == sorted(error.code for error in UpstreamError.__subclasses__())


def test_problems_are_those_of_the_code() -> None:
    """Each refusal has its row, with its status, its type and its further members."""
    said = {
        (int(status), kind.strip("`"), tuple(re.findall(r"`(\w+)`", members)))
        for status, kind, members in rows_after("**Problems.**")
    }
    known = {
        (
            error.status,
            "urn:fanstream:" + error.title.lower().replace(" ", "-"),
            tuple(field.name for field in fields(error)),
        )
        for error in RequestError.__subclasses__()
    }
    assert said == known


def test_calls_are_those_of_the_code() -> None:
    """Each path of the interface is in the table of calls, and so is each of its methods."""
    calls = " ".join(row[0] for row in rows_after("## HTTP interface"))
    for route in ROUTES:
        path = route.rule.replace("<", "{").replace(">", "}")
        for method in route.operations:
            assert f"{method} {path}" in calls


def test_ways_of_reading_are_those_of_the_code() -> None:
    """Each value of `read` has its row, and a stream has chunks."""
    rows = {row[0].strip("`"): row for row in rows_after("### How a body is read")}
    assert [name for name, row in rows.items() if row[2]] == ["sse", "ndjson", "lines", "stream"]
    assert {name for name, row in rows.items() if row[2]} == STREAMED
    for name in rows:
        assert Upstream(url="https://a", read=name).read == name


def test_reserved_names_are_those_of_the_code() -> None:
    """The names that no feed may use are all said."""
    [line] = [line for line in CONTRACT.splitlines() if "names are reserved" in line]
    assert set(re.findall(r"`(\w+)`", line)) == RESERVED_PARAMETERS


def test_variables_are_those_of_the_code() -> None:
    """Each environment variable that the code reads is in the table."""
    said = {row[0].strip("`") for row in rows_after("| variable ")} | {CONFIG_VARIABLE}
    known = {CONFIG_VARIABLE, THREADS_VARIABLE, LEVEL_VARIABLE, DEMO_UPSTREAMS_VARIABLE}
    assert said == known | {CONTROL_VARIABLE, "FANSTREAM_JWT_SECRET"}


def test_links_lead_somewhere() -> None:
    """Each file that the documents name as a link is there, and each has its title."""
    documents = sorted(DOCS.rglob("*.md"))
    for document in documents:
        text = document.read_text()
        assert text.startswith("# "), document
        for link in re.findall(r"\]\(([^)#:]+)\)", text):
            assert (document.parent / link).exists(), (document, link)


def test_what_the_code_names_is_there() -> None:
    """Each file in docs that the source points to exists."""
    sources = [*(ROOT / "streaming").rglob("*.py"), *(ROOT / "tests").rglob("*.py")]
    named = {
        name for path in sources for name in re.findall(r"\bdocs/[\w/.-]+\.md", path.read_text())
    }
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []
