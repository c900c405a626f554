"""A JSON Web Key Set: the public keys of who issues tokens, fetched and kept (RFC 7517).

Fetched as any upstream is, with its bounds and its attempts, when the first token comes, and again
when the keys are old, or a token names one that is not among them, as after a rotation. Requests
wait for a fetch only where the keys that are held cannot tell; none of them carries it, so that
none takes it along when it leaves.
"""

import asyncio
import contextvars
import logging
import math
import random
import time
from collections.abc import Callable
from contextlib import aclosing
from functools import partial
from typing import Any

from jwt import PyJWK

from streaming.core.call import build_call
from streaming.core.errors_request import InvalidToken, KeysUnavailable
from streaming.core.errors_upstream import UpstreamError
from streaming.core.upstream import Upstream
from streaming.engine.alarms import Alarms
from streaming.engine.transport_httptools import HttptoolsTransport
from streaming.engine.upstream_call import Outgoing, UpstreamCall

logger = logging.getLogger("fanstream")

FETCH_TIMEOUT = 5.0
"""Seconds for all attempts of one fetch; requests wait as long, and are answered 503 then."""

MAX_SET_BYTES = 262_144
"""Bytes of a set; a longer one is not read."""

REFRESH_INTERVAL = 300.0
"""Seconds after which the keys are fetched again, while those that are held go on to be used."""

MAX_KEYS_AGE = 3600.0
"""Seconds for which keys are used that cannot be fetched again; then requests are answered 503."""

MIN_FETCH_INTERVAL = 10.0
"""Seconds between two fetches, whatever tokens come; a new key is 503 until the next."""

MIN_RSA_BITS = 2048
"""Bits of an RSA key; tokens of a shorter one are not accepted (RFC 7518 section 3.3)."""

# The type of key that an algorithm takes, by its first letters (RFC 7518 section 6.1, RFC 8037).
_KEY_TYPES = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}


class KeySet:
    """The keys at a URL. Used on the engine's loop.

    Args:
        url: Where they are.
        own: Takes over the task that fetches them: it is cancelled when the engine closes.
    """

    def __init__(self, url: str, *, own: Callable[[asyncio.Task[None]], None]) -> None:
        literal = url.replace("{", "{{").replace("}", "}}")
        self._upstream = Upstream(url=literal, timeout=FETCH_TIMEOUT, max_bytes=MAX_SET_BYTES)
        self._own = own
        self._keys: list[dict[str, Any]] = []
        self._fetched_at = self._tried_at = float("-inf")
        self._fetching: asyncio.Task[None] | None = None

    async def find(self, header: dict[str, Any]) -> PyJWK:
        """See `streaming.engine.tokens.Keys`."""
        asked_at = time.monotonic()
        if self._age() > REFRESH_INTERVAL or self._lacks(header):
            self._start_fetch()
        if self._lacks(header):
            await self._wait_fetched()
            # A set from before the question does not say that there is no such key by now.
            if self._lacks(header) and self._fetched_at < asked_at:
                raise KeysUnavailable(retry_after=max(1, math.ceil(self._barred_for())))
        return self._choose(header)

    def _lacks(self, header: dict[str, Any]) -> bool:
        """Say whether a fetch might bring the key of a token that the keys held do not have."""
        if self._age() > MAX_KEYS_AGE:
            return True
        kid = header.get("kid")
        return not (
            self._match(header) if kid is None else any(key.get("kid") == kid for key in self._keys)
        )

    def _choose(self, header: dict[str, Any]) -> PyJWK:
        found = self._match(header)
        if not found:
            raise InvalidToken("its key is not known here")
        if len(found) > 1:
            raise InvalidToken("it does not say which key it is of")
        key = PyJWK(found[0], algorithm=header["alg"])
        if key.key_type == "RSA" and key.key.key_size < MIN_RSA_BITS:
            raise InvalidToken(f"its key has less than {MIN_RSA_BITS} bits")
        return key

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

    def _age(self) -> float:
        return time.monotonic() - self._fetched_at

    def _barred_for(self) -> float:
        """Return the seconds until another fetch may be tried; none are left below 0."""
        return self._tried_at + MIN_FETCH_INTERVAL - time.monotonic()

    def _start_fetch(self) -> None:
        """Fetch the keys, unless that goes on already, or was tried a moment ago."""
        if (self._fetching is None or self._fetching.done()) and self._barred_for() <= 0:
            self._tried_at = time.monotonic()
            # In an empty context: it must not hold the request that happens to need it first.
            context = contextvars.Context()
            self._fetching = asyncio.get_running_loop().create_task(self._fetch(), context=context)
            self._own(self._fetching)

    async def _wait_fetched(self) -> None:
        """Wait for the fetch that goes on, if any does, whatever becomes of it."""
        if self._fetching is not None:
            # Neither does it end with who waits here, nor they with it, when the engine closes.
            await asyncio.wait([self._fetching])

    async def _fetch(self) -> None:
        # By a transport and a slot of its own: a full pool must not lock everybody out, nor the
        # issuer be sent what a client of the user's adds for the upstreams.
        async with aclosing(HttptoolsTransport()) as transport:
            call = UpstreamCall(
                "jwks",
                self._upstream,
                build_call(self._upstream, {}),
                outgoing=Outgoing(
                    transport=transport,
                    slots=asyncio.Semaphore(1),
                    random=random.random,
                    alarms=Alarms(),
                ),
                emit=_say_nothing,
                emit_chunks=_say_nothing,
                give_way=partial(asyncio.sleep, 0),
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
        self._keys, self._fetched_at = keys, time.monotonic()


def _say_nothing(*said: Any) -> None:
    """Take an attempt that failed; what becomes of the call in the end is logged."""
