"""What becomes of the items of a view: who takes them, how they are written, and that they close.

A view may give an iterator of its own making rather than a generator, which holds what it has
opened before it is begun; so it is closed also where nobody begins it. `own_stream` says who runs
what is here.
"""

import asyncio
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import closing, suppress
from typing import Any, Generic, TypeVar

from streaming.core.event import Event
from streaming.engine.log_stream import LogClosed, StreamLog
from streaming.engine.merge import is_being_cancelled
from streaming.engine.own_story import Story

T = TypeVar("T")


class Left(Generic[T]):
    """The items that a view has given, left to whoever takes them first, and closes them then."""

    def __init__(self, items: T) -> None:
        self._items = [items]

    def take(self) -> T | None:
        """Take the items; None where another has. From any thread."""
        with suppress(IndexError):
            return self._items.pop()
        return None

    def close(self) -> None:
        """Close the items where nobody has taken them."""
        if (items := self.take()) is not None:
            close_unbegun(items)


async def write(left: Left[AsyncIterator[Any]], log: StreamLog) -> None:
    """Write what an async generator yields, until it ends or its viewer has gone."""
    if (items := left.take()) is None:
        return
    story = Story()
    with suppress(LogClosed):
        try:
            await _write_items(items, log, story)
            last_words = story.last_words()
        except LogClosed:
            raise
        except asyncio.CancelledError as exc:
            if is_being_cancelled():
                raise
            last_words = story.last_words(exc)  # something that the view awaited was cancelled
        except Exception as exc:  # noqa: BLE001 - the outer edge of the view's own code
            last_words = story.last_words(exc)
        for event in last_words:
            await log.append(event)
        log.end()


async def _write_items(items: AsyncIterator[Any], log: StreamLog, story: Story) -> None:
    try:
        async for item in items:
            await log.append(story.event_of(item))
    finally:
        if aclose := getattr(items, "aclose", None):
            await aclose()


def write_all(items: Iterator[Any], log: StreamLog) -> None:
    """Write what a plain generator yields, until it ends or its viewer has gone."""
    try:
        with suppress(LogClosed), closing(tell(Left(items))) as story:
            for event in story:
                log.append_from_thread(event)
    finally:
        log.end()


def tell(left: Left[Iterator[Any]]) -> Generator[Event, None, None]:
    """Give the events of a plain generator, and the last words after its end or its exception.

    Once it has begun, closing it closes the generator.
    """
    if (items := left.take()) is None:
        return
    story = Story()
    try:
        yield from _events(items, story)
    except Exception as exc:  # noqa: BLE001 - the outer edge of the view's own code
        yield from story.last_words(exc)
    else:
        yield from story.last_words()


def _events(items: Iterator[Any], story: Story) -> Iterator[Event]:
    try:
        for item in items:
            yield story.event_of(item)
    except GeneratorExit:
        story.receive_left()
        raise
    finally:
        if close := getattr(items, "close", None):
            close()


def close_unbegun(items: Any) -> None:
    """Close what was never begun; there is nobody to tell of an error but the log."""
    try:
        if close := getattr(items, "close", None):
            close()
    except Exception as exc:  # noqa: BLE001 - the outer edge of the view's own code
        Story().last_words(exc)


async def aclose_unbegun(items: Any) -> None:
    """Close what was never begun, as `close_unbegun` does."""
    try:
        if aclose := getattr(items, "aclose", None):
            await aclose()
    except Exception as exc:  # noqa: BLE001 - the outer edge of the view's own code
        Story().last_words(exc)
