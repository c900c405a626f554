"""A server of each stack for the points that leave it as it was; those that end it start their own.

What a point measures is handed to `record`, for the table in docs/servers.md; see `__main__`.
"""

from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest

from tests.servers.stacks import STACKS, Stack, serving_stack
from tests.servers.table import Recorder
from tests.serving import Served
from tests.upstreams import UpstreamsThread


@pytest.fixture(scope="session")
def upstreams() -> Iterator[UpstreamsThread]:
    with UpstreamsThread() as running:
        yield running


@pytest.fixture(scope="session", params=STACKS, ids=str)
def stack(request: pytest.FixtureRequest) -> Stack:
    """The stack that is tried."""
    chosen: Stack = request.param
    if chosen.is_missing:
        pytest.skip(f"{chosen.name} is not installed")
    return chosen


@pytest.fixture(scope="session")
def served(
    stack: Stack, upstreams: UpstreamsThread, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """A server of the stack; by its end it has had nothing to say of errors on its side."""
    with serving_stack(stack, upstreams, folder=tmp_path_factory.mktemp(str(stack))) as running:
        yield running
        running.signal()
        assert running.wait() == 0
        assert "Traceback" not in running.log()


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Callable[[Stack, str, float | str], None]:
    """Put what was measured into a column of the table; nothing where none is being written."""
    recorder = request.config.pluginmanager.get_plugin(Recorder.NAME)
    return recorder.put if recorder is not None else lambda *_: None


@pytest.fixture
def key() -> str:
    """A parameter that no other test gives, to tell its upstream calls from theirs."""
    return uuid4().hex
