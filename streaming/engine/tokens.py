"""Tokens: who a request's bearer token says is asking (CONTRACT `[auth]`).

PyJWT verifies them, against a secret or against the keys of a JWKS; its exceptions become ours
here. What their claims mean is decided in `streaming.core.caller`.
"""

import logging
import time
import warnings
from typing import Any, Protocol

import jwt
from jwt import PyJWK

from streaming.core.caller import Caller, caller_of
from streaming.core.errors import ConfigError
from streaming.core.errors_request import InvalidToken
from streaming.core.settings import AuthSettings
from streaming.engine.jwks import KeySet
from streaming.engine.upstream_call import Outgoing

logger = logging.getLogger("fanstream")

LEEWAY = 5.0
"""Seconds that the clock of who issues tokens may be ahead of this one, for `nbf` and `iat`."""

MIN_SECRET_BYTES = 32
"""Bytes of a secret below which it can be guessed from a token (RFC 7518 section 3.2)."""

# What PyJWT raises of its own, and what a header of thousands of brackets makes of its parser.
_FAILURES = (jwt.PyJWTError, RecursionError)

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
        outgoing: Carries the call that fetches the keys, where they come from a `jwks_url`.
    """

    def __init__(self, auth: AuthSettings, *, outgoing: Outgoing) -> None:
        self._auth = auth
        self._keys = KeySet(auth.jwks_url, outgoing=outgoing) if auth.jwks_url else _Secret(auth)
        # PyJWT would warn at each token, where once at the start is enough; see `_Secret`.
        warnings.filterwarnings("ignore", category=jwt.InsecureKeyLengthWarning)

    async def verify(self, token: str) -> Caller:
        """Return who a token says is asking.

        Raises:
            InvalidToken: It is not a token, not of ours, or not valid now.
            KeysUnavailable: The keys cannot be had now.
        """
        try:
            header = jwt.get_unverified_header(token)
            if header.get("alg") not in self._auth.algorithms:
                raise jwt.InvalidAlgorithmError
            claims = self._decode(token, await self._keys.find(header))
        except _FAILURES as exc:
            reason = next((_REASONS[kind] for kind in type(exc).__mro__ if kind in _REASONS), None)
            raise InvalidToken(reason or "it is not a JSON Web Token") from exc
        caller = caller_of(claims)
        # Without the leeway: streams end at this very time.
        if caller.expires is not None and caller.expires <= time.time():
            raise InvalidToken(_REASONS[jwt.ExpiredSignatureError])
        return caller

    def _decode(self, token: str, key: PyJWK | str) -> dict[str, Any]:
        return jwt.decode(
            token,
            key,
            algorithms=self._auth.algorithms,
            audience=self._auth.audience or None,
            issuer=self._auth.issuer or None,
            leeway=LEEWAY,
        )


class _Secret:
    """See `Keys`: one secret for all tokens."""

    def __init__(self, auth: AuthSettings) -> None:
        self._secret = auth.jwt_secret
        if len(self._secret.encode()) < MIN_SECRET_BYTES:
            logger.warning("auth.jwt_secret has less than %d bytes", MIN_SECRET_BYTES)

    async def find(self, header: dict[str, Any]) -> str:
        return self._secret


def check_auth(auth: AuthSettings) -> None:
    """Refuse what tokens could never be verified with.

    Raises:
        ConfigError: The algorithms need a package that is not installed.
    """
    missing = [name for name in auth.algorithms if name not in jwt.PyJWS().get_algorithms()]
    if missing:
        needs = "which need cryptography: pip install 'fanstream[jwks]'"
        raise ConfigError("auth.algorithms", f"has {', '.join(missing)}, {needs}")
