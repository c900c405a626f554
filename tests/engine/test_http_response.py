"""Who waits for a response, and what is said when it has ended."""

import asyncio

import pytest

from streaming.core.errors_upstream import Disconnected
from streaming.engine.http_response import MAX_UNREAD_BYTES, HttpResponse
from tests.scripted_upstream import OK


class Counting:
    """A connection that counts what it is told."""

    closed = read = 0

    def close(self) -> None:
        self.closed += 1

    def read_on(self) -> None:
        self.read += 1


@pytest.fixture
def carrier() -> Counting:
    return Counting()


async def test_what_is_there_is_given_at_once(carrier: Counting) -> None:
    """Without a turn of the loop, so that others' work does not come between."""
    response = HttpResponse("GET", carrier)
    response.feed(OK + b"Content-Length: 3\r\n\r\nabc")
    reading = response.read()
    with pytest.raises(StopIteration) as stopped:
        reading.send(None)
    assert stopped.value.value == b"abc"


async def test_a_connection_is_read_on_once_there_is_room(carrier: Counting) -> None:
    """Not while more is unread than may be."""
    response = HttpResponse("GET", carrier)
    response.feed(OK + b"\r\n" + bytes(3 * MAX_UNREAD_BYTES))
    told = []
    for _ in range(3):
        await response.read()
        told.append(carrier.read)
    assert told == [0, 1, 2]


async def test_an_end_wakes_who_waits(carrier: Counting) -> None:
    """And is said again to whoever asks again, with its cause, which holds nothing."""
    response = HttpResponse("GET", carrier)
    waiting = asyncio.create_task(response.wait_head())
    await asyncio.sleep(0)
    cause = ConnectionResetError()
    response.end(Disconnected, cause)
    for again in (waiting, response.read()):
        with pytest.raises(Disconnected) as caught:
            await again
        assert caught.value.__cause__ is cause
        assert cause.__traceback__ is None


async def test_a_response_that_has_ended_closes_nothing(carrier: Counting) -> None:
    """The connection may be another's by then."""
    response = HttpResponse("GET", carrier)
    response.end(None)
    await response.aclose()
    assert carrier.closed == 0
