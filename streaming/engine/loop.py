"""The event loop of the engine: uvloop where there is one, else the standard library's."""

import asyncio
from collections.abc import Callable

try:
    import uvloop
except ImportError:  # not on Windows, nor on other Pythons than CPython
    _new_event_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
else:
    _new_event_loop = uvloop.new_event_loop


def make_loop() -> asyncio.AbstractEventLoop:
    """Make an event loop; who calls closes it."""
    return _new_event_loop()
