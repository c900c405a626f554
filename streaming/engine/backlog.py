"""What is to be done by and by: added to from anywhere on the loop, taken together by one task."""

import asyncio
from typing import Generic, TypeVar

T = TypeVar("T")


class Backlog(Generic[T]):
    """Things to be done, each once, however often it is added until it is taken."""

    def __init__(self) -> None:
        self._things: set[T] = set()
        self._is_any = asyncio.Event()

    def add(self, thing: T) -> None:
        """Have this done."""
        self._things.add(thing)
        self._is_any.set()

    async def take(self) -> set[T]:
        """Wait until there is anything, and take all of it."""
        await self._is_any.wait()
        self._is_any.clear()
        things, self._things = self._things, set()
        return things
