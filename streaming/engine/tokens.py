"""Tokens: who a request's bearer token says is asking (CONTRACT `[auth]`).

PyJWT verifies them, against a secret or against the keys of a JWKS; its exceptions become ours
here. What their claims mean is decided in `streaming.core.caller`.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any, Protocol

import jwt
from jwt import PyJWK
from jwt.algorithms import HMACAlgorithm

from streaming.core.caller import Caller, caller_of
from streaming.core.errors import ConfigError
from streaming.core.errors_request import InvalidToken
from streaming.core.settings import AuthSettings
from streaming.engine.jwks import KeySet

logger = logging.getLogger("fanstream")

LEEWAY = 5.0
"""Seconds that the clock of who issues tokens may be ahead of this one, for `nbf` and `iat`."""

MIN_SECRET_BYTES = 32
"""Bytes of a secret below which it can be guessed from a token (RFC 7518 section 3.2)."""

# What PyJWT raises of its own, what a header of thousands of brackets makes of its parser, and what
# 2.10 makes of a time that is infinite or no number.
_FAILURES = (jwt.PyJWTError, RecursionError, OverflowError, TypeError)

# What can be looked at without a key. Typed by no class of PyJWT's, which older ones do not have.
_UNVERIFIED: Any = {
    "verify_signature": False,
    **{f"verify_{claim}": True for claim in ("exp", "nbf", "iat", "aud", "iss", "sub", "jti")},
}

_HASHES = {
    "HS256": HMACAlgorithm.SHA256,
    "HS384": HMACAlgorithm.SHA384,
    "HS512": HMACAlgorithm.SHA512,
}

_REASONS: dict[type[Exception], str] = {
    jwt.ExpiredSignatureError: "it has expired",
    jwt.ImmatureSignatureError: "it is not valid yet",
    jwt.InvalidAlgorithmError: "it is signed by an algorithm that is not among the accepted ones",
    jwt.InvalidAudienceError: "it is meant for another audience",
    jwt.InvalidIssuerError: "it is of another issuer",
    jwt.InvalidSignatureError: "its signature is not right",
    jwt.MissingRequiredClaimError: "it lacks a claim that is asked for",
}


class Keys(Protocol):
    """Where the key of a token is found."""

    async def find(self, header: dict[str, Any]) -> PyJWK | str:
        """Return the key that a token with this header has to be signed with.

        Raises:
            InvalidToken: There is none.
            KeysUnavailable: The keys cannot be had now.
        """
        ...


class Tokens:
    """Verifies tokens.

    Args:
        auth: What they have to be.
        own: Takes over the task that fetches the keys, where they come from a `jwks_url`: it is
            cancelled when the engine closes.
    """

    def __init__(self, auth: AuthSettings, *, own: Callable[[asyncio.Task[None]], None]) -> None:
        self._auth = auth
        self._keys = KeySet(auth.jwks_url, own=own) if auth.jwks_url else _Secret(auth.jwt_secret)
        self._signatures = _make_signatures(auth.algorithms)

    async def verify(self, token: str) -> Caller:
        """Return who a token says is asking.

        Raises:
            InvalidToken: It is not a token, not of ours, or not valid now.
            KeysUnavailable: The keys cannot be had now.
        """
        try:
            header, claims = self._read_unverified(token)
            key = await self._keys.find(header)
            self._signatures.decode(token, key, algorithms=self._auth.algorithms)
        except _FAILURES as exc:
            reason = next((_REASONS[kind] for kind in type(exc).__mro__ if kind in _REASONS), None)
            raise InvalidToken(reason or "it is not a JSON Web Token") from exc
        caller = caller_of(claims)
        # Without the leeway: streams end at this very time.
        if caller.expires is not None and caller.expires <= time.time():
            raise InvalidToken(_REASONS[jwt.ExpiredSignatureError])
        return caller

    def _read_unverified(self, token: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return a token's header and claims, which anybody may have written.

        What they do not allow is refused before its key is looked for: it is worth no fetch.
        """
        read = jwt.decode_complete(
            token,
            options=_UNVERIFIED,
            audience=self._auth.audience or None,
            issuer=self._auth.issuer or None,
            leeway=LEEWAY,
        )
        if read["header"].get("alg") not in self._auth.algorithms:
            raise jwt.InvalidAlgorithmError
        return read["header"], read["payload"]


class _Secret:
    """See `Keys`: one secret for all tokens."""

    def __init__(self, secret: str) -> None:
        self._secret = secret

    async def find(self, header: dict[str, Any]) -> str:
        return self._secret


class _Hmac(HMACAlgorithm):
    """Says nothing of a short secret: `check_auth` did once, PyJWT warns at each token.

    A filter of warnings would be the whole process's, and so also the application's around this.
    """

    def check_key_length(self, key: bytes) -> str | None:
        return None


def _make_signatures(algorithms: tuple[str, ...]) -> jwt.PyJWS:
    """Make what verifies signatures by these algorithms and no others."""
    signatures = jwt.PyJWS(algorithms=algorithms)
    for name in set(algorithms) & set(_HASHES):
        signatures.unregister_algorithm(name)
        signatures.register_algorithm(name, _Hmac(_HASHES[name]))
    return signatures


def check_auth(auth: AuthSettings) -> None:
    """Refuse what tokens could never be verified with, and warn of a secret that is weak.

    Raises:
        ConfigError: The algorithms need a package that is not installed.
    """
    missing = [name for name in auth.algorithms if name not in jwt.PyJWS().get_algorithms()]
    if missing:
        needs = "which need cryptography: pip install 'fanstream[jwks]'"
        raise ConfigError("auth.algorithms", f"has {', '.join(missing)}, {needs}")
    if auth.jwt_secret and len(auth.jwt_secret.encode()) < MIN_SECRET_BYTES:
        logger.warning("auth.jwt_secret has less than %d bytes", MIN_SECRET_BYTES)
