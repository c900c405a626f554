"""A JSON Web Key Set: the public keys of who issues tokens, fetched and kept (RFC 7517).

Fetched as any upstream is, with its bounds and its attempts, when the first token comes, and again
when the keys are old, or a token names one that is not among them, as after a rotation.
"""

import asyncio
import logging
import time
from typing import Any

from jwt import PyJWK

from streaming.core.call import build_call
from streaming.core.entry import Data
from streaming.core.errors_request import InvalidToken, KeysUnavailable
from streaming.core.errors_upstream import UpstreamError
from streaming.core.upstream import Upstream
from streaming.engine.upstream_call import Outgoing, UpstreamCall

logger = logging.getLogger("fanstream")

FETCH_TIMEOUT = 5.0
"""Seconds for all attempts of one fetch; requests wait as long, and are answered 503 then."""

MAX_SET_BYTES = 262_144
"""Bytes of a set; a longer one is not read."""

REFRESH_INTERVAL = 300.0
"""Seconds after which the keys are fetched again."""

MAX_AGE = 3600.0
"""Seconds for which keys are used that cannot be fetched again; then requests are answered 503."""

MIN_FETCH_INTERVAL = 10.0
"""Seconds between two fetches, whatever tokens come."""


_KEY_TYPES = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}
# The type of key that an algorithm takes, by its first letters (RFC 7518 section 6.1, RFC 8037).


class KeySet:
    """The keys at a URL. Used on the engine's loop.

    Args:
        url: Where they are.
        outgoing: What carries the call.
    """

    def __init__(self, url: str, *, outgoing: Outgoing) -> None:
        literal = url.replace("{", "{{").replace("}", "}}")
        self._upstream = Upstream(url=literal, timeout=FETCH_TIMEOUT, max_bytes=MAX_SET_BYTES)
        self._outgoing = outgoing
        self._keys: list[dict[str, Any]] = []
        self._fetched = self._tried = float("-inf")
        self._fetching = asyncio.Lock()

    async def find(self, header: dict[str, Any]) -> PyJWK:
        """See `streaming.engine.tokens.Keys`."""
        await self._refresh(older_than=REFRESH_INTERVAL)
        found = self._match(header)
        if not found:
            await self._refresh(older_than=0.0)
            found = self._match(header)
        if len(found) != 1:
            raise InvalidToken("it does not say which key it is of" if found else "its key is none")
        return PyJWK(found[0], algorithm=header["alg"])

    def _match(self, header: dict[str, Any]) -> list[dict[str, Any]]:
        kid, algorithm = header.get("kid"), header["alg"]
        return [
            key
            for key in self._keys
            if key.get("kty") == _KEY_TYPES.get(algorithm[:2])
            and key.get("alg", algorithm) == algorithm
            and key.get("use", "sig") == "sig"
            and (kid is None or key.get("kid") == kid)
        ]

    async def _refresh(self, *, older_than: float) -> None:
        """Fetch the keys where they are older than this, unless that was tried a moment ago.

        Raises:
            KeysUnavailable: There are none, or only ones that are too old.
        """
        if self._age() > older_than:
            async with self._fetching:
                # Whoever waited here finds them fetched.
                is_recent = time.monotonic() - self._tried < MIN_FETCH_INTERVAL
                if self._age() > older_than and not is_recent:
                    self._tried = time.monotonic()
                    await self._fetch()
        if self._age() > MAX_AGE:
            raise KeysUnavailable(retry_after=int(MIN_FETCH_INTERVAL))

    def _age(self) -> float:
        return time.monotonic() - self._fetched

    async def _fetch(self) -> None:
        call = UpstreamCall(
            "jwks",
            self._upstream,
            build_call(self._upstream, {}),
            outgoing=self._outgoing,
            emit=_say_nothing,
            deadline=time.monotonic() + FETCH_TIMEOUT,
        )
        try:
            body = (await call.execute())["body"]
        except UpstreamError as error:
            logger.warning("auth.jwks_url: %s", error)
            return
        keys = body.get("keys") if isinstance(body, dict) else None
        if not isinstance(keys, list) or not all(isinstance(key, dict) for key in keys):
            logger.warning("auth.jwks_url: what was answered is not a JSON Web Key Set")
            return
        self._keys, self._fetched = keys, time.monotonic()


def _say_nothing(event: str, data: Data) -> None:
    """Take an attempt that failed; what becomes of the call in the end is logged."""
