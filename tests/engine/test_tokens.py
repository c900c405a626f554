"""Tokens: which are accepted, against a secret and against fetched keys, and what they say."""

import asyncio
import json
import time
from base64 import urlsafe_b64encode
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from streaming.core.errors import ConfigError
from streaming.core.errors_request import InvalidToken, KeysUnavailable
from streaming.core.settings import AuthSettings
from streaming.engine import jwks
from streaming.engine.tokens import Tokens, check_auth
from streaming.engine.upstream_call import Outgoing
from tests.scripted_upstream import OK, serving

SECRET = "correct horse battery staple, twice"
RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
ED_KEY = ed25519.Ed25519PrivateKey.generate()


def jwk(algorithm: Any, key: Any, **more: str) -> dict[str, Any]:
    return {**algorithm.to_jwk(key.public_key(), as_dict=True), **more}


KEYS = [
    jwk(RSAAlgorithm, RSA_KEY, kid="rsa", use="sig", alg="RS256"),
    jwk(ECAlgorithm, EC_KEY, kid="ec"),
    jwk(OKPAlgorithm, ED_KEY, kid="ed"),
    jwk(RSAAlgorithm, OTHER_RSA_KEY, kid="for-encryption", use="enc"),
]


def signed(key: Any = SECRET, *, algorithm: str = "HS256", kid: str | None = None, **claims: Any):
    headers = {} if kid is None else {"kid": kid}
    return jwt.encode({"sub": "ada", **claims}, key, algorithm=algorithm, headers=headers)


@pytest.fixture
def with_secret(outgoing: Outgoing) -> Tokens:
    return Tokens(AuthSettings(jwt_secret=SECRET), outgoing=outgoing)


async def refused(tokens: Tokens, token: str) -> str:
    with pytest.raises(InvalidToken) as raised:
        await tokens.verify(token)
    return raised.value.reason


# ---------------------------------------------------------------------------- a secret


async def test_a_token_of_the_secret(with_secret: Tokens) -> None:
    """Its claims say who is asking, for what, and until when."""
    until = int(time.time()) + 60
    caller = await with_secret.verify(signed(feeds=["city"], stop=True, exp=until))
    assert caller.may_run("city")
    assert (caller.may_stop, caller.expires) == (True, until)


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        (signed("another secret, that is as long as ours"), "its signature is not right"),
        (signed(exp=int(time.time()) - 1), "it has expired"),
        (signed(exp=1e400), "it is not a JSON Web Token"),
        (signed(nbf=4_000_000_000), "it is not valid yet"),
        (signed(aud="another"), "it is meant for another audience"),
        (signed(SECRET * 2, algorithm="HS512"), "it is signed by an algorithm that"),
        (jwt.encode({}, None, algorithm="none"), "it is signed by an algorithm that"),
        (signed(RSA_KEY, algorithm="RS256"), "it is signed by an algorithm that"),
        ("a.b.c", "it is not a JSON Web Token"),
        ("", "it is not a JSON Web Token"),
        (signed() + "x", "its signature is not right"),
        (signed(feeds="all"), "its claim feeds is not a list of names"),
    ],
)
async def test_a_token_that_is_refused(with_secret: Tokens, token: str, reason: str) -> None:
    """Each says in a word what is wrong with it."""
    assert (await refused(with_secret, token)).startswith(reason)


async def test_a_token_that_has_just_expired(with_secret: Tokens) -> None:
    """What a clock may be ahead by is not given to the end of a token, which streams end with."""
    assert await refused(with_secret, signed(exp=int(time.time()) - 1)) == "it has expired"


async def test_a_token_of_a_clock_that_is_ahead(with_secret: Tokens) -> None:
    """A few seconds between two machines keep nobody out."""
    soon = int(time.time()) + 3
    assert (await with_secret.verify(signed(nbf=soon, iat=soon))).id


async def test_a_header_of_brackets(with_secret: Tokens) -> None:
    """One that no parser can go down to the end of is refused like any other."""
    header = urlsafe_b64encode(b'{"alg":' + b"[" * 4000).decode().rstrip("=")
    assert await refused(with_secret, f"{header}.e30.x") == "it is not a JSON Web Token"


async def test_audience_and_issuer(outgoing: Outgoing) -> None:
    """Where they are configured a token has to have them."""
    auth = AuthSettings(jwt_secret=SECRET, audience=("us", "them"), issuer="https://id.example")
    tokens = Tokens(auth, outgoing=outgoing)
    assert await tokens.verify(signed(aud=["us"], iss="https://id.example"))
    assert "audience" in await refused(tokens, signed(aud="others", iss="https://id.example"))
    assert "lacks a claim" in await refused(tokens, signed(iss="https://id.example"))
    assert "issuer" in await refused(tokens, signed(aud="us", iss="https://evil.example"))
    assert "lacks a claim" in await refused(tokens, signed(aud="us"))


def test_a_weak_secret_is_said(outgoing: Outgoing, caplog: pytest.LogCaptureFixture) -> None:
    """One that can be guessed from a token is a warning at the start, which does not show it."""
    Tokens(AuthSettings(jwt_secret="hunter2"), outgoing=outgoing)
    assert "less than 32 bytes" in caplog.text
    assert "hunter2" not in caplog.text


def test_algorithms_without_their_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where cryptography is not installed, the start says what to install."""
    check_auth(AuthSettings(jwks_url="https://id.example/keys", algorithms=("RS256",)))
    monkeypatch.setattr(jwt.PyJWS, "get_algorithms", lambda _: ["HS256"])
    with pytest.raises(ConfigError, match=r"has RS256, which need .*fanstream\[jwks\]"):
        check_auth(AuthSettings(jwks_url="https://id.example/keys", algorithms=("RS256",)))


# ------------------------------------------------------------------------ fetched keys


class Issuer:
    """Serves a set of keys, and counts how often it is asked for."""

    def __init__(self) -> None:
        self.body: Any = {"keys": KEYS}
        self.status = b"200"
        self.fetches = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.fetches += 1
        body = json.dumps(self.body).encode()
        head = OK.replace(b"200", self.status) + b"Connection: close\r\n"
        writer.write(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()


@pytest.fixture
async def issuer():
    return Issuer()


@pytest.fixture
async def fetched(issuer: Issuer, outgoing: Outgoing):
    async with serving(issuer) as url:
        algorithms = ("RS256", "PS256", "ES256", "EdDSA")
        auth = AuthSettings(jwks_url=f"{url}/keys", algorithms=algorithms)
        yield Tokens(auth, outgoing=outgoing)


@pytest.mark.parametrize(
    ("key", "algorithm", "kid"),
    [(RSA_KEY, "RS256", "rsa"), (EC_KEY, "ES256", "ec"), (ED_KEY, "EdDSA", "ed")],
)
@pytest.mark.parametrize("names_its_key", [True, False])
async def test_a_token_of_a_key(
    fetched: Tokens, key: Any, algorithm: str, kid: str, names_its_key: bool
) -> None:
    """By the key that it names, or by the only one of its kind."""
    token = signed(key, algorithm=algorithm, kid=kid if names_its_key else None)
    assert (await fetched.verify(token)).id


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        (signed(OTHER_RSA_KEY, algorithm="RS256", kid="rsa"), "its signature is not right"),
        (signed(OTHER_RSA_KEY, algorithm="RS256", kid="for-encryption"), "its key is none"),
        (signed(RSA_KEY, algorithm="PS256", kid="rsa"), "its key is none"),
        (signed(RSA_KEY, algorithm="RS256", kid="ec"), "its key is none"),
        (signed(algorithm="HS256", kid="rsa"), "it is signed by an algorithm that"),
    ],
)
async def test_a_token_of_no_key(fetched: Tokens, token: str, reason: str) -> None:
    """The key, what it is for, and its algorithm all have to be right."""
    assert (await refused(fetched, token)).startswith(reason)


async def test_two_keys_for_a_token_that_names_none(issuer: Issuer, fetched: Tokens) -> None:
    """It is not tried against all."""
    issuer.body = {"keys": [jwk(RSAAlgorithm, key) for key in (RSA_KEY, OTHER_RSA_KEY)]}
    reason = await refused(fetched, signed(RSA_KEY, algorithm="RS256"))
    assert reason == "it does not say which key it is of"


async def test_keys_are_fetched_once(issuer: Issuer, fetched: Tokens) -> None:
    """Many that come at once wait for one fetch."""
    token = signed(RSA_KEY, algorithm="RS256", kid="rsa")
    await asyncio.gather(*[fetched.verify(token) for _ in range(20)])
    assert issuer.fetches == 1


async def test_a_key_that_is_new(
    issuer: Issuer, fetched: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a rotation the token that names a new key has the keys fetched again, but not often."""
    new = signed(OTHER_RSA_KEY, algorithm="RS256", kid="new")
    assert await refused(fetched, new) == "its key is none"
    issuer.body = {"keys": [*KEYS, jwk(RSAAlgorithm, OTHER_RSA_KEY, kid="new")]}
    assert await refused(fetched, new) == "its key is none"
    assert issuer.fetches == 1
    monkeypatch.setattr(jwks, "MIN_FETCH_INTERVAL", 0.0)
    assert (await fetched.verify(new)).id
    assert issuer.fetches == 2


@pytest.mark.parametrize(
    "body", [[], {}, {"keys": None}, {"keys": ["x"]}, "keys", {"keys": [{"a": "x" * 300_000}]}]
)
async def test_what_is_no_set_of_keys(
    issuer: Issuer, fetched: Tokens, body: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Requests are told to come back, and the log says why."""
    issuer.body = body
    with pytest.raises(KeysUnavailable):
        await fetched.verify(signed(RSA_KEY, algorithm="RS256", kid="rsa"))
    assert "auth.jwks_url: " in caplog.text


async def test_a_key_that_is_broken(issuer: Issuer, fetched: Tokens) -> None:
    """A key without its numbers verifies nothing."""
    issuer.body = {"keys": [{"kty": "RSA", "kid": "rsa"}]}
    await refused(fetched, signed(RSA_KEY, algorithm="RS256", kid="rsa"))


async def test_an_issuer_that_fails(
    issuer: Issuer, fetched: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys that were had go on to be used, until they are too old."""
    token = signed(RSA_KEY, algorithm="RS256", kid="rsa")
    assert await fetched.verify(token)
    issuer.status = b"404"
    monkeypatch.setattr(jwks, "REFRESH_INTERVAL", 0.0)
    monkeypatch.setattr(jwks, "MIN_FETCH_INTERVAL", 0.0)
    assert await fetched.verify(token)
    assert issuer.fetches == 2
    monkeypatch.setattr(jwks, "MAX_AGE", 0.0)
    with pytest.raises(KeysUnavailable):
        await fetched.verify(token)
