"""Tokens: which are accepted, against a secret and against fetched keys, and what they say."""

import asyncio
import json
import time
import warnings
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from streaming.core.errors import ConfigError
from streaming.core.errors_request import InvalidToken, KeysUnavailable
from streaming.core.settings import AuthSettings, ServerSettings, Settings
from streaming.core.upstream import Upstream
from streaming.engine import jwks
from streaming.engine.engine import Engine
from streaming.engine.tokens import Tokens, check_auth
from tests.fan_out import PATIENCE, detached, start, until
from tests.scripted_upstream import OK, serving
from tests.upstreams import Upstreams

SECRET = "correct horse battery staple, twice"
RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
SHORT_RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=1024)
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


@asynccontextmanager
async def verifying(auth: AuthSettings) -> AsyncIterator[Tokens]:
    """What an engine with these settings verifies tokens with."""
    async with aclosing(Engine(Settings(auth=auth))) as engine:
        assert engine.tokens is not None
        yield engine.tokens


@pytest.fixture
async def with_secret() -> AsyncIterator[Tokens]:
    async with verifying(AuthSettings(jwt_secret=SECRET)) as tokens:
        yield tokens


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
        (signed(exp=float("nan")), "it is not a JSON Web Token"),
        (signed(exp=10**400), "its claim exp is not a time"),
        (signed(exp=-(10**400)), "it has expired"),
        (signed(exp=None), "it is not a JSON Web Token"),
        (signed(nbf=10**400), "it is not valid yet"),
        (signed(iat=10**400), "it is not valid yet"),
        *[(signed(nbf=wrong), "it is not a JSON Web Token") for wrong in (1e400, None, [], "x")],
        *[(signed(iat=wrong), "it is not a JSON Web Token") for wrong in (1e400, None, {}, "x")],
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


async def test_audience_and_issuer() -> None:
    """Where they are configured a token has to have them."""
    auth = AuthSettings(jwt_secret=SECRET, audience=("us", "them"), issuer="https://id.example")
    async with verifying(auth) as tokens:
        assert await tokens.verify(signed(aud=["us"], iss="https://id.example"))
        assert "audience" in await refused(tokens, signed(aud="others", iss="https://id.example"))
        assert "lacks a claim" in await refused(tokens, signed(iss="https://id.example"))
        assert "issuer" in await refused(tokens, signed(aud="us", iss="https://evil.example"))
        assert "lacks a claim" in await refused(tokens, signed(aud="us"))


def test_a_weak_secret_is_said(caplog: pytest.LogCaptureFixture) -> None:
    """One that can be guessed from a token is a warning at the start, which does not show it."""
    check_auth(AuthSettings(jwt_secret="x" * 32))
    assert caplog.text == ""
    check_auth(AuthSettings(jwt_secret="hunter2"))
    assert caplog.text.count("less than 32 bytes") == 1
    assert "hunter2" not in caplog.text


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
async def test_a_weak_secret_is_not_said_again(
    algorithm: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither at the first request nor by a warning of PyJWT's, whose filters stay as they were."""
    with pytest.warns(jwt.InsecureKeyLengthWarning):
        token = signed("hunter2", algorithm=algorithm)
    before = list(warnings.filters)
    async with verifying(AuthSettings(jwt_secret="hunter2", algorithms=(algorithm,))) as tokens:
        assert (await tokens.verify(token)).id
        assert await refused(tokens, token[:-4] + "AAAA") == "its signature is not right"
    assert warnings.filters == before
    assert caplog.text == ""


def test_algorithms_without_their_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where cryptography is not installed, the start says what to install."""
    check_auth(AuthSettings(jwks_url="https://id.example/keys", algorithms=("RS256",)))
    monkeypatch.setattr(jwt.PyJWS, "get_algorithms", lambda _: ["HS256"])
    with pytest.raises(ConfigError, match=r"has RS256, which need .*fanstream\[jwks\]"):
        check_auth(AuthSettings(jwks_url="https://id.example/keys", algorithms=("RS256",)))


# ------------------------------------------------------------------------ fetched keys


class Issuer:
    """Serves a set of keys, and keeps what it is asked with.

    Attributes:
        answers: Whether it does; until it is set, a request is held.
        left: How many requests were left while they were held.
    """

    def __init__(self) -> None:
        self.body: Any = {"keys": KEYS}
        self.status = b"200"
        self.heads: list[bytes] = []
        self.answers = asyncio.Event()
        self.answers.set()
        self.left = 0

    @property
    def fetches(self) -> int:
        """How often the keys were asked for."""
        return len(self.heads)

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.heads.append(await reader.readuntil(b"\r\n\r\n"))
        if not await self._may_answer(reader):
            self.left += 1
            return
        body = json.dumps(self.body).encode()
        head = OK.replace(b"200", self.status) + b"Connection: close\r\n"
        writer.write(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()

    async def _may_answer(self, reader: asyncio.StreamReader) -> bool:
        ends = [asyncio.ensure_future(end) for end in (self.answers.wait(), reader.read(1))]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            return self.answers.is_set()
        finally:
            for end in ends:
                end.cancel()


@pytest.fixture
async def issuer():
    return Issuer()


@pytest.fixture
async def auth(issuer: Issuer):
    """The settings by which tokens are those of the issuer."""
    async with serving(issuer) as url:
        algorithms = ("RS256", "PS256", "ES256", "EdDSA")
        yield AuthSettings(jwks_url=f"{url}/keys", algorithms=algorithms)


@pytest.fixture
async def fetched(auth: AuthSettings):
    async with verifying(auth) as tokens:
        yield tokens


def of_rsa(**claims: Any) -> str:
    """A token of the issuer's."""
    return signed(RSA_KEY, algorithm="RS256", kid="rsa", **claims)


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
        (signed(OTHER_RSA_KEY, algorithm="RS256", kid="for-encryption"), "its key is not known"),
        (signed(OTHER_RSA_KEY, algorithm="RS256", kid="forged"), "its key is not known here"),
        (signed(RSA_KEY, algorithm="PS256", kid="rsa"), "its key is not known here"),
        (signed(RSA_KEY, algorithm="RS256", kid="ec"), "its key is not known here"),
        (signed(algorithm="HS256", kid="rsa"), "it is signed by an algorithm that"),
    ],
)
async def test_a_token_of_no_key(fetched: Tokens, token: str, reason: str) -> None:
    """The key, what it is for, and its algorithm all have to be right."""
    assert (await refused(fetched, token)).startswith(reason)


async def test_a_key_that_is_too_short(issuer: Issuer, fetched: Tokens) -> None:
    """One that RFC 7518 does not allow verifies nothing, and PyJWT has not to warn of it."""
    issuer.body = {"keys": [jwk(RSAAlgorithm, SHORT_RSA_KEY)]}
    with pytest.warns(jwt.InsecureKeyLengthWarning):
        token = signed(SHORT_RSA_KEY, algorithm="RS256")
    assert await refused(fetched, token) == "its key has less than 2048 bits"


async def test_two_keys_for_a_token_that_names_none(issuer: Issuer, fetched: Tokens) -> None:
    """It is not tried against all."""
    issuer.body = {"keys": [jwk(RSAAlgorithm, key) for key in (RSA_KEY, OTHER_RSA_KEY)]}
    reason = await refused(fetched, signed(RSA_KEY, algorithm="RS256"))
    assert reason == "it does not say which key it is of"


async def test_keys_are_fetched_once(issuer: Issuer, fetched: Tokens) -> None:
    """Many that come at once wait for one fetch."""
    await asyncio.gather(*[fetched.verify(of_rsa()) for _ in range(20)])
    assert issuer.fetches == 1


async def test_a_request_that_is_given_up(issuer: Issuer, fetched: Tokens) -> None:
    """Whoever leaves during the fetch takes it from nobody, even if it began for them."""
    issuer.answers.clear()
    first, second = (asyncio.create_task(fetched.verify(of_rsa())) for _ in range(2))
    await until(lambda: issuer.fetches == 1)
    first.cancel()
    await asyncio.wait([first])
    issuer.answers.set()
    assert (await second).id
    assert first.cancelled()
    assert issuer.fetches == 1


async def test_a_key_that_is_new(
    issuer: Issuer, fetched: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a rotation the token that names a new key has the keys fetched again, but not often.

    Until that may be, nobody knows that it is not a good one: it is to come back.
    """
    new = signed(OTHER_RSA_KEY, algorithm="RS256", kid="new")
    assert await refused(fetched, new) == "its key is not known here"
    issuer.body = {"keys": [*KEYS, jwk(RSAAlgorithm, OTHER_RSA_KEY, kid="new")]}
    with pytest.raises(KeysUnavailable) as raised:
        await fetched.verify(new)
    assert 9 <= raised.value.retry_after <= jwks.MIN_FETCH_INTERVAL
    assert issuer.fetches == 1
    monkeypatch.setattr(jwks, "MIN_FETCH_INTERVAL", 0.0)
    assert (await fetched.verify(new)).id
    assert issuer.fetches == 2


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"exp": 1}, "it has expired"),
        ({"nbf": 4_000_000_000}, "it is not valid yet"),
        ({"aud": "another"}, "it is meant for another audience"),
    ],
)
async def test_a_token_that_no_key_would_help(
    issuer: Issuer, fetched: Tokens, claims: dict[str, Any], reason: str
) -> None:
    """What it says of itself refuses it, whatever its key: it is worth no fetch."""
    token = signed(OTHER_RSA_KEY, algorithm="RS256", kid="old", **claims)
    assert await refused(fetched, token) == reason
    assert issuer.fetches == 0


async def test_a_key_of_another_kind(
    issuer: Issuer, fetched: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token that names a key which is held, and not fit for it, is refused without a fetch."""
    monkeypatch.setattr(jwks, "MIN_FETCH_INTERVAL", 0.0)
    assert await fetched.verify(of_rsa())
    token = signed(RSA_KEY, algorithm="RS256", kid="ec")
    assert await refused(fetched, token) == "its key is not known here"
    assert issuer.fetches == 1


async def test_tokens_with_forged_keys(issuer: Issuer, fetched: Tokens) -> None:
    """However many come, the issuer is asked once in a while, and good tokens are accepted."""
    forged = [signed(EC_KEY, algorithm="ES256", kid=f"forged-{n}") for n in range(50)]
    verifying = [fetched.verify(token) for token in [*forged, of_rsa()]]
    *outcomes, good = await asyncio.gather(*verifying, return_exceptions=True)
    again = await asyncio.gather(*map(fetched.verify, forged), return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {InvalidToken}
    assert {type(outcome) for outcome in again} == {KeysUnavailable}
    assert good.id
    assert issuer.fetches == 1


async def test_a_slow_issuer(
    issuer: Issuer, fetched: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the keys held are good, nobody waits for newer ones, which come behind them."""
    assert await fetched.verify(of_rsa())
    monkeypatch.setattr(jwks, "REFRESH_INTERVAL", 0.0)
    monkeypatch.setattr(jwks, "MIN_FETCH_INTERVAL", 0.0)
    issuer.answers.clear()
    issuer.body = {"keys": [*KEYS, jwk(RSAAlgorithm, OTHER_RSA_KEY, kid="new")]}
    before = time.monotonic()
    for _ in range(20):
        assert await fetched.verify(of_rsa())
    assert time.monotonic() - before < jwks.FETCH_TIMEOUT / 2
    await until(lambda: issuer.fetches == 2)
    waiting = asyncio.create_task(
        fetched.verify(signed(OTHER_RSA_KEY, algorithm="RS256", kid="new"))
    )
    assert await fetched.verify(of_rsa())
    assert not waiting.done()
    issuer.answers.set()
    assert (await waiting).id


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
    """Keys that were had go on to be used, until they are too old; a new one is not denied."""
    assert await fetched.verify(of_rsa())
    issuer.status = b"404"
    monkeypatch.setattr(jwks, "REFRESH_INTERVAL", 0.0)
    monkeypatch.setattr(jwks, "MIN_FETCH_INTERVAL", 0.0)
    assert await fetched.verify(of_rsa())
    await until(lambda: issuer.fetches == 2)
    assert await fetched.verify(of_rsa())
    with pytest.raises(KeysUnavailable):
        await fetched.verify(signed(OTHER_RSA_KEY, algorithm="RS256", kid="new"))
    monkeypatch.setattr(jwks, "MAX_KEYS_AGE", 0.0)
    with pytest.raises(KeysUnavailable):
        await fetched.verify(of_rsa())


async def test_connections_that_are_all_taken(auth: AuthSettings, upstreams: Upstreams) -> None:
    """The keys are fetched while upstream calls hold all that may be open."""
    server = ServerSettings(max_connections=1)
    async with aclosing(Engine(Settings(server=server, auth=auth))) as engine:
        await start(engine.runs, detached(it=Upstream(url=upstreams.base_url + "/never")))
        await upstreams.wait_calls("/never")
        assert engine.tokens is not None
        assert (await engine.tokens.verify(of_rsa())).id


async def test_what_the_issuer_is_not_sent(issuer: Issuer, auth: AuthSettings) -> None:
    """What a client of the user's adds is for the upstreams."""
    added = {"headers": {"X-Key": "pr1vate"}, "auth": ("me", "pr1vate"), "cookies": {"a": "b"}}
    async with (
        httpx.AsyncClient(**added) as client,
        aclosing(Engine(Settings(auth=auth), client=client)) as engine,
    ):
        assert engine.tokens is not None
        assert (await engine.tokens.verify(of_rsa())).id
    [head] = issuer.heads
    assert not any(name in head.lower() for name in (b"x-key", b"authorization", b"cookie"))


async def test_an_end_during_a_fetch(issuer: Issuer, auth: AuthSettings) -> None:
    """The issuer is left at once, and who waits is told to come back."""
    issuer.answers.clear()
    async with aclosing(Engine(Settings(auth=auth))) as engine:
        assert engine.tokens is not None
        waiting = asyncio.create_task(engine.tokens.verify(of_rsa()))
        await until(lambda: issuer.fetches == 1)
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(KeysUnavailable):
            await waiting
    await until(lambda: issuer.left == 1)
