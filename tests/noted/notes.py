"""What an application says of its own end, in a file that is there when its process is not.

Each note is made after a moment, as what really has to be done at an end takes one: whoever cuts it
short leaves none.
"""

import asyncio
import os
import time

FILE_VARIABLE = "NOTES"
"""The environment variable that names the file."""

DELAY = 0.1
"""Seconds from the beginning of an end to its note."""


def note(word: str) -> None:
    """Take a moment, and write a line."""
    time.sleep(DELAY)
    _write(word)


async def note_async(word: str) -> None:
    """Take a moment without holding up the loop, and write a line."""
    await asyncio.sleep(DELAY)
    _write(word)


def _write(word: str) -> None:
    file = os.open(os.environ[FILE_VARIABLE], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"{word}\n".encode())
    os.close(file)
