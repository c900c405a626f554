"""Patience with an upstream: what runs out is said, and other cancellations pass."""

import asyncio

import pytest

from streaming.core.errors_upstream import TimedOut
from streaming.engine.alarms import Alarms
from streaming.engine.patience import Patience
from tests.fan_out import PATIENCE

SHORT = 0.05


async def wait_with(patience: Patience, *, within: float) -> None:
    with patience:
        patience.expect("head", within=within)
        await asyncio.sleep(PATIENCE)


async def test_what_takes_too_long_is_named() -> None:
    """With the time that it was given."""
    with pytest.raises(TimedOut) as raised:
        await wait_with(Patience(Alarms()), within=SHORT)
    assert str(raised.value) == str(TimedOut("head", SHORT))


async def test_each_wait_has_its_own_time() -> None:
    """Many short ones are no long one."""
    patience = Patience(Alarms())
    with patience:
        for _ in range(5):
            patience.expect("body", within=1.0)
            await asyncio.sleep(0.02)


async def test_it_may_be_entered_again() -> None:
    """For the next attempt of the same call."""
    patience = Patience(Alarms())
    for _ in range(2):
        with pytest.raises(TimedOut):
            await wait_with(patience, within=SHORT)


async def test_it_ends_with_its_block() -> None:
    """What comes after it may take longer."""
    patience = Patience(Alarms())
    with patience:
        patience.expect("head", within=SHORT)
    await asyncio.sleep(3 * SHORT)


async def test_a_cancellation_from_elsewhere_passes() -> None:
    """Such as that of a viewer who leaves."""
    task = asyncio.create_task(wait_with(Patience(Alarms()), within=PATIENCE))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_outer_timeout_is_told_from_it() -> None:
    """Both cancel the same task."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(SHORT):
            await wait_with(Patience(Alarms()), within=PATIENCE)


async def test_a_fault_of_the_block_passes() -> None:
    """Whether or not the time has run out meanwhile."""
    with pytest.raises(ValueError, match="broken"), Patience(Alarms()):
        raise ValueError("broken")
