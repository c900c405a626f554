"""Whose page sent a request, and from which address it came."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.core.errors_request import ForbiddenOrigin
from streaming.core.message import Request
from streaming.core.origin import (
    check_origin,
    client_address,
    cors_headers,
    is_allowed_cross_origin,
    preflight_headers,
)

ALLOWED = ("https://app.example", "http://localhost:3000")


def request(**headers: str) -> Request:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Request(method="GET", headers={"host": "api.example", **named})


def is_refused(cors_origins: tuple[str, ...] = (), **headers: str) -> bool:
    try:
        check_origin(request(**headers), cors_origins=cors_origins)
    except ForbiddenOrigin:
        return True
    return False


# ------------------------------------------------------------------------------ origins


@pytest.mark.parametrize("site", [None, "same-origin", "same-site", "none"])
def test_no_other_site(site: str | None) -> None:
    """A person, a program or a page of this site may start something."""
    assert not is_refused(**({} if site is None else {"sec_fetch_site": site}))


def test_cross_site_refused() -> None:
    """What another site's page had a browser send starts nothing, with an `Origin` or without."""
    assert is_refused(sec_fetch_site="cross-site")
    assert is_refused(sec_fetch_site="cross-site", origin="https://api.example")


def test_a_page_of_this_host_behind_a_proxy() -> None:
    """A proxy may rewrite `Host`; the browser says itself that the page is of the same origin."""
    assert not is_refused(sec_fetch_site="same-origin", origin="https://shop.example")
    assert is_refused(sec_fetch_site="same-site", origin="https://shop.example")


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("api.example", "https://api.example"),
        ("api.example", "http://api.example"),
        ("API.example", "https://api.EXAMPLE"),
        ("api.example:8000", "http://api.example:8000"),
        ("api.example:443", "https://api.example"),
        ("api.example:80", "http://api.example"),
        ("127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("[::1]:8000", "http://[::1]:8000"),
        ("[::1]:443", "https://[::1]"),
        ("[2001:db8::80]", "http://[2001:db8::80]"),
    ],
)
def test_own_page(host: str, origin: str) -> None:
    """A page of this host may, whatever became of its scheme and default port on the way."""
    assert not is_refused(host=host, origin=origin)


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "https://api.example.evil.example",
        "https://evil-api.example",
        "https://xapi.example",
        "https://example",
        "https://api.example:8443",
        "https://api.example:80",
        "https://user@api.example",
        "https://api.example@evil.example",
        "https://api.example/",
        "https://api.example, https://evil.example",
        "api.example",
        "//api.example",
        "null",
        "",
        "https://",
        "http://[::1",
        "http://[evil]",
        "https://exa\u2100mple",
        "\x00",
    ],
)
def test_foreign_origin_refused(origin: str) -> None:
    """Whatever is not exactly this host is refused, be it an origin or not."""
    assert is_refused(origin=origin)


@pytest.mark.parametrize("origin", ["null", "", "https://"])
def test_no_host_is_nobodys_own(origin: str) -> None:
    """A request that names no host has no page of its own."""
    assert is_refused(host="", origin=origin)


@pytest.mark.parametrize("origin", ALLOWED)
def test_configured_origin(origin: str) -> None:
    """A page that the configuration admits may, though it is of another site."""
    assert not is_refused(ALLOWED, origin=origin, sec_fetch_site="cross-site")


@pytest.mark.parametrize(
    "origin", ["http://app.example", "https://app.example:444", "https://APP.example", "null"]
)
def test_not_quite_the_configured_origin(origin: str) -> None:
    """An origin is admitted as a whole: scheme, host and port, as a browser writes them."""
    assert is_refused(ALLOWED, origin=origin)


def test_every_origin() -> None:
    """`*` admits whoever names an origin, `null` as well; who names none is judged as ever."""
    assert not is_refused(("*",), origin="https://evil.example", sec_fetch_site="cross-site")
    assert not is_refused(("*",), origin="null")
    assert is_refused(("*",), sec_fetch_site="cross-site")


@given(origin=st.text(), host=st.text())
def test_any_header_is_judged(origin: str, host: str) -> None:
    """No header whatever makes it fail in another way."""
    is_refused(origin=origin, host=host)


# --------------------------------------------------------------------------------- CORS


def test_cors_off() -> None:
    """Without configured origins there is not a word of CORS."""
    assert cors_headers(request(origin="https://app.example"), cors_origins=()) == ()


def test_cors_of_an_admitted_origin() -> None:
    """An admitted page may read the answer; the very origin is named, for no cache to mix up."""
    headers = dict(cors_headers(request(origin=ALLOWED[1]), cors_origins=ALLOWED))
    assert headers["Access-Control-Allow-Origin"] == ALLOWED[1]
    assert headers["Vary"] == "Origin"
    assert "Access-Control-Allow-Credentials" not in headers


@pytest.mark.parametrize("headers", [{}, {"origin": "https://evil.example"}])
def test_cors_of_others(headers: dict[str, str]) -> None:
    """Others may not; that the answer depends on the origin is said to them too."""
    assert cors_headers(request(**headers), cors_origins=ALLOWED) == (("Vary", "Origin"),)


def test_cors_of_every_origin() -> None:
    """Under `*` the origin that asks is named; who names none is given none."""
    named = cors_headers(request(origin="https://any.example"), cors_origins=("*",))
    assert ("Access-Control-Allow-Origin", "https://any.example") in named
    assert cors_headers(request(), cors_origins=("*",)) == (("Vary", "Origin"),)


def test_cookies_from_a_page_whose_origin_is_named() -> None:
    """A page may have cookies sent where its origin is named; `*` names nobody."""
    allowed = ("Access-Control-Allow-Credentials", "true")
    asked = request(origin=ALLOWED[0])
    assert allowed in cors_headers(asked, cors_origins=ALLOWED, with_cookies=True)
    assert allowed not in cors_headers(asked, cors_origins=("*",), with_cookies=True)


def test_is_allowed_cross_origin() -> None:
    """The own host is not cross-origin, and so is not admitted by this."""
    assert not is_allowed_cross_origin(request(origin="https://api.example"), cors_origins=ALLOWED)
    assert is_allowed_cross_origin(request(origin=ALLOWED[0]), cors_origins=ALLOWED)


def test_preflight() -> None:
    """A preflight is told the methods of the path and the headers that a page needs."""
    headers = dict(preflight_headers(methods=("GET", "HEAD")))
    assert headers["Access-Control-Allow-Methods"] == "GET, HEAD"
    assert "Last-Event-ID" in headers["Access-Control-Allow-Headers"]
    assert headers["Access-Control-Max-Age"] == "600"


# ------------------------------------------------------------------------------ address

PROXIES = ("10.0.0.0/8", "192.0.2.7", "2001:db8:1::/48")


def address(peer: str, forwarded: str | None = None, proxies: tuple[str, ...] = PROXIES) -> str:
    headers = {} if forwarded is None else {"x-forwarded-for": forwarded}
    found = Request(method="GET", headers=headers, peer=peer)
    return client_address(found, trusted_proxies=proxies)


def test_peer_alone() -> None:
    """Without proxies the peer is the client, whatever it writes."""
    assert address("203.0.113.9", "198.51.100.1", proxies=()) == "203.0.113.9"
    assert address("203.0.113.9", "198.51.100.1") == "203.0.113.9"


@pytest.mark.parametrize(
    ("forwarded", "client"),
    [
        (None, "10.0.0.1"),
        ("", "10.0.0.1"),
        (" , ", "10.0.0.1"),
        ("203.0.113.9", "203.0.113.9"),
        ("1.1.1.1, 203.0.113.9", "203.0.113.9"),
        ("10.9.9.9, 203.0.113.9", "203.0.113.9"),
        ("203.0.113.9, 10.0.0.2", "203.0.113.9"),
        ("203.0.113.9,192.0.2.7 ,10.0.0.2", "203.0.113.9"),
        ("1.1.1.1, 203.0.113.9, 192.0.2.7", "203.0.113.9"),
        ("203.0.113.9, 192.0.2.8", "192.0.2.8"),
        ("10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("203.0.113.9, , 10.0.0.2", "10.0.0.2"),
        ("2001:db8::9", "2001:db8::9"),
        ("2001:db8::9, 2001:db8:1::5", "2001:db8::9"),
        ("unknown", "unknown"),
        ("203.0.113.9, unknown", "unknown"),
        ("1.1.1.1, <script>", "<script>"),
    ],
)
def test_behind_a_proxy(forwarded: str | None, client: str) -> None:
    """The list is read from its end and no further than the first that is not trusted."""
    assert address("10.0.0.1", forwarded) == client


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("203.0.113.9:52144", "203.0.113.9"),
        ("[2001:db8::9]:52144", "2001:db8::9"),
        ("[2001:db8::9]", "2001:db8::9"),
        ("2001:DB8:0:0::9", "2001:db8::9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("::ffff:cb00:7109", "203.0.113.9"),
        ("fe80::1%eth0", "fe80::1%eth0"),
    ],
)
def test_one_client_has_one_address(written: str, plain: str) -> None:
    """However an address is written, with the port of one connection too, it counts as one."""
    assert address("10.0.0.1", written) == plain
    assert address(written, "198.51.100.1") == plain


@pytest.mark.parametrize("peer", ["10.0.0.1:4711", "::ffff:10.0.0.1", "[::ffff:10.0.0.1]:80"])
def test_proxy_is_known_however_it_is_written(peer: str) -> None:
    """A socket that takes IPv6 and IPv4 names an IPv4 proxy in its own way."""
    assert address(peer, "203.0.113.9") == "203.0.113.9"


@pytest.mark.parametrize("peer", ["", "unix:", "localhost", "10.0.0", "010.0.0.1", "10.0.0.1.evil"])
def test_peer_without_an_address(peer: str) -> None:
    """What is no address is not a proxy, and what it forwards is not believed."""
    assert address(peer, "203.0.113.9") != "203.0.113.9"


@given(peer=st.text(), forwarded=st.text())
def test_any_address_is_taken(peer: str, forwarded: str) -> None:
    """No peer and no list whatever make it fail."""
    found: Any = address(peer, forwarded)
    assert isinstance(found, str)
