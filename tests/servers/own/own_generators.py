"""Generators whose end is seen from outside: they write it down in the file that `$NOTES` names.

The same under Flask and under Quart. What is written down is `<what> <view> <key>`.
"""

import asyncio
import os
import time
from pathlib import Path

NOTES = Path(os.environ["NOTES"])


def note(*words):
    """Add a line, in one write: several threads and processes do."""
    with NOTES.open("a") as notes:
        notes.write(" ".join(words) + "\n")


def talking(key):
    """Run in a thread, and yield now and then."""
    try:
        while True:
            yield {"key": key}
            time.sleep(0.1)
    finally:
        note("finally", "talking", key)


async def talking_async(key):
    """Run on the loop, and yield now and then."""
    try:
        while True:
            yield {"key": key}
            await asyncio.sleep(0.1)
    finally:
        await asyncio.sleep(0.01)
        note("finally", "talking_async", key)


async def silent_async(key):
    """Run on the loop, and wait for ever."""
    try:
        yield {"key": key}
        await asyncio.Event().wait()
    finally:
        await asyncio.sleep(0.01)
        note("finally", "silent_async", key)


class _ByHand:
    """An async iterator that is no generator, as a client library may give one."""

    def __init__(self, key):
        self._key = key
        self._is_begun = False

    def __aiter__(self):
        return self

    async def __anext__(self):
        if self._is_begun:
            await asyncio.Event().wait()
        self._is_begun = True
        return {"key": self._key}

    async def aclose(self):
        await asyncio.sleep(0.01)
        note("aclose", "by_hand", self._key)


def by_hand(key):
    """Give an iterator that has to be closed."""
    return _ByHand(key)


VIEWS = [talking, talking_async, silent_async, by_hand]
