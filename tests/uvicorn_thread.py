"""uvicorn in a thread of the test's process, with a protocol and an application of the test's."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from tests.serving import LOOPBACK


@contextmanager
def served(app: Any, *, http: Any, loop: Any = "asyncio") -> Iterator[int]:
    """Serve an application for the block, and give the port; at its end it must not wait."""
    config = uvicorn.Config(app, http=http, ws="none", lifespan="off", loop=loop, log_config=None)
    server = uvicorn.Server(config)
    with socket.create_server((LOOPBACK, 0)) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()
