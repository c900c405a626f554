"""A Redis of each test's own, and processes that serve what is in it."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.processes.fleet import Fleet, fleet_of
from tests.redis_server import RedisServer, redis_serving


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_serving(tmp_path) as running:
        yield running


@pytest.fixture
def pair(redis: RedisServer, tmp_path: Path) -> Iterator[Fleet]:
    """A Quart and a Flask process."""
    with fleet_of("quart", "flask", redis=redis, folder=tmp_path) as running:
        yield running


@pytest.fixture
def key() -> str:
    """What names a run to the upstreams, of which a gate is opened once."""
    return uuid4().hex[:8]
