"""A proxy that notes what it is asked."""

import asyncio

from tests.scripted_upstream import OK

ANSWER = OK + b"Content-Length: 2\r\n\r\nok"


class RecordingProxy:
    """Answers what it is asked for itself, tunnels where it is asked to CONNECT, and notes both.

    Args:
        refusal: What it says instead; None for nothing.
        agreement: What it says when it tunnels.
    """

    def __init__(self, *, refusal: bytes | None = None, agreement: bytes = OK + b"\r\n") -> None:
        self.heads: list[str] = []
        self._refusal = refusal
        self._agreement = agreement

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.heads.append(head)
        method, target, _ = head.split(" ", 2)
        if self._refusal is not None:
            writer.write(self._refusal)
        elif method == "CONNECT":
            await self._tunnel(target, reader, writer)
        else:
            writer.write(ANSWER)

    async def _tunnel(
        self, target: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        host, _, port = target.rpartition(":")
        there_reader, there_writer = await asyncio.open_connection(host, int(port))
        writer.write(self._agreement)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_pipe(reader, there_writer))
                group.create_task(_pipe(there_reader, writer))
        finally:
            there_writer.close()


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
    writer.close()
