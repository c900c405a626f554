"""Both applications on their default servers, with both logs, and the upstreams that they call.

One server of each runs for all scenarios; with the log in Redis it has two processes, and whichever
of them a request meets has to serve it. At its end its log is looked at as well: whatever the
scenarios did to it, it has nothing to say of errors on its side.
"""

from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest

from tests.apps.scenarios import FEEDS, SECRET
from tests.redis_server import RedisServer, redis_serving
from tests.serving import Served, serving
from tests.upstreams import UpstreamsThread
from tests.viewing import ask

SERVER = """
[server]
max_body_bytes = 4096
cors_origins = ["https://friend.example"]
"""

Release = Callable[[str], None]


@pytest.fixture(scope="session")
def upstreams() -> Iterator[UpstreamsThread]:
    with UpstreamsThread() as running:
        yield running


@pytest.fixture(scope="session")
def environment(upstreams: UpstreamsThread) -> dict[str, str]:
    """The variables that `feeds.toml` refers to."""
    return {"UPSTREAMS": upstreams.base_url, "SECRET": SECRET}


@pytest.fixture(scope="session", params=["quart", "flask"])
def app(request: pytest.FixtureRequest) -> str:
    """The application that is tried."""
    name: str = request.param
    return name


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Try the scenarios with both logs; what is refused before any run is tried with one."""
    if "log_in" in metafunc.fixturenames:
        is_of_runs = metafunc.module.__name__.rpartition(".")[2].startswith("test_scenarios_")
        logs = ["memory", "redis"] if is_of_runs else ["memory"]
        metafunc.parametrize("log_in", logs, scope="session")


@pytest.fixture(scope="session")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis for the log."""
    with redis_serving(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="session")
def log_config(log_in: str, request: pytest.FixtureRequest) -> str:
    """The configuration of the log."""
    url = request.getfixturevalue("redis").url if log_in == "redis" else "memory:"
    return f'[log]\nurl = "{url}"\n'


@pytest.fixture(scope="session")
def served(
    app: str,
    log_in: str,
    log_config: str,
    environment: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Served]:
    """The application on its default server, with the feeds of the scenarios."""
    folder = tmp_path_factory.mktemp(app)
    config = SERVER + log_config + FEEDS
    options = ("--workers", "2") if log_in == "redis" else ()
    with serving(app, config, folder=folder, env=environment, options=options) as running:
        yield running
        running.signal()
        assert running.wait() == 0
        assert "ERROR" not in running.log()
        assert "Traceback" not in running.log()


@pytest.fixture
def url(served: Served) -> str:
    """Where the application answers."""
    return served.base_url


@pytest.fixture
def key() -> str:
    """A parameter that no other test gives, to tell its upstream calls from theirs."""
    return uuid4().hex


@pytest.fixture
def release(upstreams: UpstreamsThread) -> Release:
    """Have a held upstream answer."""

    def release(key: str) -> None:
        ask(upstreams.base_url, f"/release/{key}")

    return release
