"""What others install: the wheel and the source archive hold all they need, and start.

Built once, as a release is: the archive from the checkout, the wheel from the archive. Nothing here
asks an index, so that the tests pass without a network.
"""

import importlib.metadata
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.serving import Served, free_port, serving_command
from tests.viewing import ask, watching

ROOT = Path(__file__).resolve().parents[1]


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command outside the checkout, and give what it printed."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        command, cwd=cwd, env=environment, check=False, text=True, capture_output=True, timeout=100
    )
    assert done.returncode == 0, f"{command}:\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build both, and give their folder."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT, cwd=folder)
    return folder


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Path:
    [path] = dist.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def wheel_names(wheel: Path) -> set[str]:
    return set(zipfile.ZipFile(wheel).namelist())


@pytest.fixture(scope="module")
def installed_wheel(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel without its extras into an empty environment, and give its bin folder.

    What it requires is copied from the running environment, which `make setup` made from the lock.
    """
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder, symlinks=True)
    site = Path(sysconfig.get_path("purelib", "venv", {"base": str(folder)}))
    python = folder / "bin" / "python"
    pip_install = ("install", "--quiet", "--no-index", "--no-deps", wheel)
    run(sys.executable, "-m", "pip", "--python", python, *pip_install, cwd=folder)
    [fanstream] = importlib.metadata.distributions(path=[str(site)])
    for name in closure(fanstream.requires or []):
        copy_distribution(name, site)
    return python.parent


def closure(requirements: Iterable[str]) -> set[str]:
    """Give the names of all that some requirements need on this machine."""
    seen: set[tuple[str, str]] = set()
    waiting = [(line, "") for line in requirements]
    while waiting:
        line, extra = waiting.pop()
        requirement = Requirement(line)
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(requirement.name)
        for wanted in {(name, ""), *((name, each) for each in requirement.extras)} - seen:
            seen.add(wanted)
            needs = importlib.metadata.requires(name) or []
            waiting += [(need, wanted[1]) for need in needs]
    return {name for name, _ in seen}


def copy_distribution(name: str, site: Path) -> None:
    for file in importlib.metadata.files(name) or []:
        if not {"..", "__pycache__"} & set(file.parts):
            target = site / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file.locate(), target)


def files_below(folder: Path) -> set[str]:
    found = {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert found, f"{folder} is empty"
    return found


def test_wheel_holds_the_package(wheel_names: set[str]) -> None:
    """Every module and data file of the package is in the wheel, with the mark that it is typed."""
    package = {f"streaming/{name}" for name in files_below(ROOT / "streaming")}
    assert package | {"streaming/demo/feeds.toml", "streaming/py.typed"} <= wheel_names


def test_wheel_holds_the_page(wheel_names: set[str]) -> None:
    """The page is inside the package, whole."""
    page = {f"streaming/static/{name}" for name in files_below(ROOT / "static")}
    assert page | {"streaming/static/index.html"} <= wheel_names


def test_wheel_holds_the_apps_and_no_more(wheel_names: set[str]) -> None:
    """Beside the package and its metadata only the two importable apps are installed."""
    tops = {name.partition("/")[0] for name in wheel_names}
    metadata = {top for top in tops if top.endswith(".dist-info")}
    assert tops - metadata == {"streaming", "app_flask.py", "app_quart.py"}


def test_archive_holds_what_a_checkout_needs(dist: Path) -> None:
    """The source archive can be set up, tested and built as the repository can."""
    [path] = dist.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for needed in ("Makefile", "requirements.lock", ".ci/run", "LICENSE", "static/index.html"):
        assert needed in names
    assert {f"tests/{name}" for name in files_below(ROOT / "tests")} <= names


def test_base_requirements_are_enough(installed_wheel: Path) -> None:
    """Without the extras, both apps and the page can be loaded."""
    script = (
        "import app_flask, app_quart, importlib.resources as r;"
        "assert (r.files('streaming') / 'static' / 'index.html').is_file()"
    )
    run(installed_wheel / "python", "-I", "-c", script, cwd=installed_wheel)


def test_requirements_agree(installed_wheel: Path) -> None:
    """No installed version contradicts what the wheel or its requirements ask for."""
    python = installed_wheel / "python"
    run(sys.executable, "-m", "pip", "--python", python, "check", cwd=installed_wheel)


def test_command_is_installed(installed_wheel: Path) -> None:
    """The command stands in the environment and names the two verbs."""
    printed = run(installed_wheel / "fanstream", "--help", cwd=installed_wheel)
    assert {"demo", "serve"} <= set(printed.split())


@pytest.fixture(params=["quart uvicorn", "flask werkzeug"])
def demo(request: pytest.FixtureRequest, installed_wheel: Path, tmp_path: Path) -> Iterator[Served]:
    """Run the demo from the wheel in an empty folder, on a server that comes with it."""
    port = free_port()
    app, server = request.param.split()
    options = ("--app", app, "--server", server, "--port", str(port))
    (empty := tmp_path / "empty").mkdir()
    with serving_command(
        *(str(installed_wheel / "fanstream"), "demo", *options),
        python=installed_wheel / "python",
        port=port,
        folder=tmp_path,
        cwd=empty,
        env={"PYTHONPATH": ""},
    ) as served:
        yield served


def test_demo_runs_from_the_wheel(demo: Served) -> None:
    """It serves the page and a whole feed, in which one of five fails, and ends at Ctrl-C."""
    for path in ("/", "/static/app.js"):
        assert ask(demo.base_url, path).status_code == 200
    with watching(demo.base_url, "/feeds/city") as viewer:
        seen = viewer.rest()
    outcomes = {it.data["upstream"]: it.event for it in seen if it.event in {"result", "failure"}}
    answered = dict.fromkeys(["weather", "news", "rates", "ticks"], "result")
    assert outcomes == answered | {"broken": "failure"}
    assert (seen[0].event, seen[-1].event) == ("start", "done")
    assert seen[-1].data["reason"] == "finished"
    demo.signal(signal.SIGINT)
    assert demo.wait() == 0
    assert "Traceback" not in demo.log()


def declared_requirements() -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    lists = [
        project["project"]["dependencies"],
        *project["project"]["optional-dependencies"].values(),
        *project["dependency-groups"].values(),
        project["build-system"]["requires"],
    ]
    return [Requirement(line) for lines in lists for line in lines]


def test_lock_answers_every_requirement() -> None:
    """Each requirement in pyproject.toml has a pin that it accepts; else `make lock` is due."""
    lock = (ROOT / "requirements.lock").read_text()
    pins = re.findall(r"^([a-z0-9][\w.-]*)==([^\s;]+)", lock, re.MULTILINE)
    assert pins
    for requirement in declared_requirements():
        name = canonicalize_name(requirement.name)
        versions = [version for pin, version in pins if pin == name]
        if name != "fanstream":
            assert any(map(requirement.specifier.contains, versions)), requirement


def test_lock_names_hashes_and_no_index() -> None:
    """Each pin has a hash, and nothing says where files come from."""
    lock = (ROOT / "requirements.lock").read_text()
    pins = re.split(r"^(?=[a-z0-9])", lock, flags=re.MULTILINE)[1:]
    assert [pin for pin in pins if "--hash=sha256:" not in pin] == []
    assert not re.search(r"://|--index|--find-links|file:", lock)
