"""The parent of a server: it never serves, and sees to an orderly end (DESIGN "Drain").

Told to end, it has the engines drain first, each over the socket that it listens on, then ends the
server, and kills what is left at the deadline. The server runs in a process group of its own, so
that Ctrl-C reaches it through here alone, and once.
"""

import asyncio
import ctypes
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from streaming.engine.control import CONTROL_VARIABLE
from streaming.servers import GRACE

POLL_INTERVAL = 0.05
"""Seconds between two tries to connect to a server that starts."""

CONNECT_MARGIN = 0.05
"""Seconds from the signal in which an engine that has just started connects."""

MAX_FOLDER_LENGTH = 70
"""Characters of the temporary folder for the socket; where it has more, `/tmp` is used."""

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


class Supervisor:
    """Runs one server until it ends, or until it is told to end it.

    Args:
        command: The server's command.
        env: Its environment.
        host: The address that it listens on.
        port: The port that it listens on.
        drain_timeout: Seconds that engines have for their streams.
        end_signal: What has the server end in order.
        on_ready: Called once when the server takes connections.
        on_ending: Called once when the first signal to end has come.
    """

    def __init__(
        self,
        command: list[str],
        *,
        env: Mapping[str, str],
        host: str,
        port: int,
        drain_timeout: float,
        end_signal: signal.Signals,
        on_ready: Callable[[], None],
        on_ending: Callable[[], None],
    ) -> None:
        self._command = command
        self._env = env
        self._host = host
        self._port = port
        self._drain_timeout = drain_timeout
        self._end_signal = end_signal
        self._on_ready = on_ready
        self._on_ending = on_ending
        self._engines: set[asyncio.StreamWriter] = set()
        self._drained = asyncio.Event()
        self._drained.set()
        self._told = asyncio.Event()
        self._told_twice = asyncio.Event()

    async def run(self) -> int:
        """Run the server.

        Returns:
            Its exit status, as a shell says it: 128 and the signal's number where one ended it. 0
            where it ended because it was told to.
        """
        # The path of a Unix socket may have 107 bytes, and temporary folders can be deep.
        folder = tempfile.gettempdir()
        folder = folder if len(folder) <= MAX_FOLDER_LENGTH else "/tmp"  # noqa: S108
        with tempfile.TemporaryDirectory(prefix="fanstream-", dir=folder) as folder:
            path = str(Path(folder, "control"))
            control = await asyncio.start_unix_server(self._receive_engine, path)
            try:
                return await self._run({**self._env, CONTROL_VARIABLE: path})
            finally:
                control.close()
                for writer in list(self._engines):
                    writer.close()
                # Cut off by the loop's end instead, Python 3.11 would report who serves them.
                await self._drained.wait()

    async def _run(self, env: Mapping[str, str]) -> int:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._receive_signal)
        server = await asyncio.create_subprocess_exec(
            *self._command, env=env, start_new_session=True, preexec_fn=_end_with_parent
        )
        try:
            ended, told = asyncio.create_task(server.wait()), asyncio.create_task(self._told.wait())
            ready = asyncio.create_task(self._wait_ready())
            await asyncio.wait([ended, told], return_when=asyncio.FIRST_COMPLETED)
            for task in (ready, told):
                task.cancel()
            if ended.done():
                status = ended.result()
                return status if status >= 0 else 128 - status
            await self._drain()
            await self._end(server)
            return 0
        finally:
            _signal_group(server, signal.SIGKILL)
            await server.wait()

    async def _wait_ready(self) -> None:
        while True:
            with suppress(OSError):
                _, writer = await asyncio.open_connection(self._host, self._port)
                writer.close()
                self._on_ready()
                return
            await asyncio.sleep(POLL_INTERVAL)

    async def _drain(self) -> None:
        """Have all engines drain; a second signal, or the deadline, ends the wait."""
        # The engine of a request that has only just come has yet to connect.
        await asyncio.sleep(CONNECT_MARGIN)
        if self._engines:
            self._on_ending()
        for writer in self._engines:
            writer.write(b"d")
        await self._wait_for(self._drained.wait(), within=self._drain_timeout)

    async def _end(self, server: asyncio.subprocess.Process) -> None:
        """End the server in order, if it does within `GRACE`; not after a second signal."""
        if not self._told_twice.is_set():
            _signal_group(server, self._end_signal)
            await self._wait_for(server.wait(), within=GRACE)

    async def _wait_for(self, end: Coroutine[Any, Any, object], *, within: float) -> None:
        """Wait for this or a second signal, so many seconds at most."""
        tasks = [asyncio.ensure_future(wait) for wait in (end, self._told_twice.wait())]
        try:
            await asyncio.wait(tasks, timeout=within, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()

    async def _receive_engine(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._engines.add(writer)
        self._drained.clear()
        if self._told.is_set():
            writer.write(b"d")
        with suppress(OSError):
            await reader.read()
        writer.close()
        self._engines.discard(writer)
        if not self._engines:
            self._drained.set()

    def _receive_signal(self) -> None:
        if self._told.is_set():
            self._told_twice.set()
        else:
            self._told.set()


def _end_with_parent() -> None:
    """Have the kernel end this process when its parent is killed, which no handler can see.

    Runs in the child, before the server's command. Linux alone knows this.
    """
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _signal_group(server: asyncio.subprocess.Process, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(server.pid, number)
