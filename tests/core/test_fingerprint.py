"""When two processes mean the same by a feed."""

from typing import Any

import pytest

from streaming.core.feed import Feed, Param, Upstream
from streaming.core.fingerprint import fingerprint

URL = "https://host/{p}?token=s3cret"
OPTIONS: dict[str, Any] = {"url": URL, "method": "POST", "json": {"a": "{p}"}, "read": "lines"}


def feed(name: str = "it", *, param: Param | None = None, **options: Any) -> Feed:
    upstreams = {"a": Upstream(**{**OPTIONS, **options}), "b": Upstream(url="https://b/")}
    return Feed(name, params={"p": param or Param()}, upstreams=upstreams)


def test_the_same_feed_has_the_same_fingerprint() -> None:
    """Made anew, in another process."""
    assert fingerprint(feed()) == fingerprint(feed())
    assert len(bytes.fromhex(fingerprint(feed()))) == 32


@pytest.mark.parametrize(
    "other",
    [
        feed("other"),
        feed(param=Param(type="integer")),
        feed(url="https://other/{p}"),
        feed(method="PUT"),
        feed(json={"a": "b"}),
        feed(read="sse"),
        feed(idempotent=True),
        Feed("it", params={"p": Param()}, upstreams={"a": Upstream(**OPTIONS)}),
        Feed("it", params={"p": Param(), "q": Param()}, upstreams=feed().upstreams),
        Feed("it", params={"p": Param()}, upstreams=dict(reversed(feed().upstreams.items()))),
    ],
)
def test_what_asks_for_something_else_is_another(other: Feed) -> None:
    """Be it another name, parameter, upstream, or part of its request."""
    assert fingerprint(other) != fingerprint(feed())


@pytest.mark.parametrize(
    "other",
    [
        feed(headers={"Authorization": "Bearer another"}),
        feed(timeout=7.0, max_bytes=5),
        feed(param=Param(default="x")),
        Feed(
            "it",
            params={"p": Param()},
            upstreams=feed().upstreams,
            timeout=7.0,
            linger=7.0,
            keep=7.0,
            share=True,
            on_disconnect="detach",
        ),
    ],
)
def test_what_may_be_tuned_is_left_out(other: Feed) -> None:
    """And secrets, which change while runs are live."""
    assert fingerprint(other) == fingerprint(feed())


def test_nothing_of_a_feed_can_be_read_from_it() -> None:
    """Its addresses may hold secrets."""
    assert set(fingerprint(feed())) <= set("0123456789abcdef")
