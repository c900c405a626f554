"""The engine's own event loop."""

import asyncio
import sys

import pytest

from streaming.engine.loop import make_loop


def test_a_loop_is_made_for_each_that_asks() -> None:
    """It runs what it is given, and whoever asked for it closes it."""
    with asyncio.Runner(loop_factory=make_loop) as runner:
        assert runner.run(asyncio.sleep(0, "ran")) == "ran"
        other = make_loop()
        assert other is not runner.get_loop()
        other.close()


@pytest.mark.skipif(
    sys.platform == "win32" or sys.implementation.name != "cpython", reason="there is no uvloop"
)
def test_it_is_uvloops_where_there_is_one() -> None:
    """Half the cost of each event."""
    loop = make_loop()
    assert type(loop).__module__.startswith("uvloop")
    loop.close()
