"""Both applications on their default servers, and the upstreams that they call.

One server of each runs for all scenarios. At its end its log is looked at as well: whatever the
scenarios did to it, it has nothing to say of errors on its side.
"""

from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest

from tests.apps.scenarios import FEEDS, SECRET
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


@pytest.fixture(scope="session")
def served(
    app: str, environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """The application on its default server, with the feeds of the scenarios."""
    folder = tmp_path_factory.mktemp(app)
    with serving(app, SERVER + FEEDS, folder=folder, env=environment) as running:
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
