"""Several addresses of one host: which is taken, and what becomes of the others."""

import asyncio

import pytest

from streaming.engine import http_race
from streaming.engine.http_connection import HttpConnection
from streaming.engine.http_race import alternate, connect_first

PATIENCE = 5.0


class Addresses:
    """Connects as each address is told to: after seconds, or never, or not at all."""

    def __init__(self, **ways: float | OSError | None) -> None:
        self.tried: list[str] = []
        self.cancelled: list[str] = []
        self.closed: list[str] = []
        self._ways = ways

    async def connect(self, address: str) -> HttpConnection:
        self.tried.append(address)
        way = self._ways[address]
        if isinstance(way, OSError):
            raise way
        try:
            await asyncio.sleep(3600 if way is None else way)
        except asyncio.CancelledError:
            self.cancelled.append(address)
            raise
        return Made(self, address)


class Made(HttpConnection):
    """Remembers that it was closed."""

    def __init__(self, addresses: Addresses, address: str) -> None:
        self.address = address
        self._addresses = addresses

    def close(self) -> None:
        self._addresses.closed.append(self.address)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_race, "NEXT_ADDRESS_DELAY", 0.05)


async def race(addresses: Addresses, names: str) -> str:
    async with asyncio.timeout(PATIENCE):
        made = await connect_first(list(names), addresses.connect)
    assert isinstance(made, Made)
    return made.address


@pytest.mark.parametrize(
    ("addresses", "order"),
    [
        (["1", "2"], ["1", "2"]),
        ([":1", ":2", "1"], [":1", "1", ":2"]),
        (["1", ":1", ":2", ":3"], ["1", ":1", ":2", ":3"]),
        (["1", "2", "3", ":1"], ["1", ":1", "2", "3"]),
    ],
)
def test_the_families_have_their_turns(addresses: list[str], order: list[str]) -> None:
    """A family that leads nowhere holds up one address of the other."""
    assert alternate(addresses) == order


async def test_the_first_is_taken_if_it_answers() -> None:
    """No other is tried."""
    addresses = Addresses(a=0.0, b=0.0)
    assert await race(addresses, "ab") == "a"
    assert addresses.tried == ["a"]


async def test_one_that_refuses_gives_way_at_once() -> None:
    """The next is not made to wait."""
    addresses = Addresses(a=OSError(), b=0.0)
    assert await race(addresses, "ab") == "b"


async def test_one_that_is_silent_does_not_take_all_the_time() -> None:
    """The next is tried beside it, and it is given up then."""
    addresses = Addresses(a=None, b=OSError(), c=0.0)
    assert await race(addresses, "abc") == "c"
    assert (addresses.tried, addresses.cancelled) == (["a", "b", "c"], ["a"])


async def test_one_that_is_slow_may_still_be_first() -> None:
    """It goes on while others are tried."""
    addresses = Addresses(a=0.1, b=None, c=None)
    assert await race(addresses, "abc") == "a"
    assert addresses.cancelled[0] == "b"


async def test_of_two_made_together_one_stays() -> None:
    """The other is closed."""
    addresses = Addresses(a=0.15, b=0.10)
    taken = await race(addresses, "ab")
    assert [taken, *addresses.closed, *addresses.cancelled].count(taken) == 1
    assert {taken, *addresses.closed, *addresses.cancelled} == {"a", "b"}


async def test_none_that_answers_is_the_last_ones_failure() -> None:
    """Each was tried."""
    addresses = Addresses(a=ConnectionRefusedError(), b=OSError("no route"))
    with pytest.raises(OSError, match="no route"):
        await race(addresses, "ab")


async def test_cancelled_it_leaves_nothing() -> None:
    """Every attempt is given up."""
    addresses = Addresses(a=None, b=None)
    racing = asyncio.create_task(connect_first(["a", "b"], addresses.connect))
    await asyncio.sleep(0.1)
    racing.cancel()
    await asyncio.wait([racing])
    assert (racing.cancelled(), sorted(addresses.cancelled)) == (True, ["a", "b"])
