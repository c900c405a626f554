"""From a parameter to a call: whatever is given, what is asked of an upstream keeps its shape."""

import json
from typing import Any
from urllib.parse import unquote, urlsplit

from hypothesis import given
from hypothesis import strategies as st

from streaming.core.call import Call, ConnectionOptions, build_call, redirect
from streaming.core.errors_request import InvalidParameter
from streaming.core.feed import Feed, Param, Upstream
from streaming.core.message import problem_reply
from streaming.core.url import has_control

PIECES = st.sampled_from(
    [
        *("\r", "\n", "\0", "\t", "\x1b", "\x7f", "\x85", "\u2028", "\u202e", "\ud800", "\udcff"),
        *("%", "%0d%0a", "%zz", "%2e", ".", "..", "/", "\\", "?", "#", "@", ":", ";", "&", "="),
        *("+", " ", "{", "}", '"', "é", "😀", "http://evil.example", "\r\nX-Injected: 1", "x" * 99),
    ]
)
texts = st.lists(PIECES | st.text(st.characters(), max_size=3), max_size=8).map("".join)
values: st.SearchStrategy[Any] = (
    texts | st.none() | st.booleans() | st.integers() | st.floats() | st.lists(texts, max_size=1)
)

FEED = Feed(
    "f",
    params={
        "segment": Param(),
        "query": Param(),
        "header": Param(),
        "count": Param(type="integer", default=1),
    },
    upstreams={
        "a": Upstream(
            url="https://a.example:8443/x/{segment}/-{segment}/y?q={query}&n={count}",
            method="POST",
            headers={"X-Word": "w {header}", "Authorization": "Bearer t"},
            json={"q": "{query}", "n": "{count}"},
        )
    },
)


def check_call(call: Call, params: dict[str, Any]) -> None:
    url = urlsplit(call.url)
    assert (url.scheme, url.netloc, url.fragment) == ("https", "a.example:8443", "")
    assert all("!" <= char <= "~" for char in call.url)
    segment, query, count = params["segment"], params["query"], params["count"]
    parts = ["", "x", segment, f"-{segment}", "y"]
    assert [unquote(part, errors="strict") for part in url.path.split("/")] == parts
    assert [unquote(part) for part in url.query.split("&")] == [f"q={query}", f"n={count}"]
    headers = dict(call.headers)
    assert len(headers) == len(call.headers)
    assert headers["X-Word"] == f"w {params['header']}".strip(" ")
    assert not any(has_control(value) for value in headers.values())
    assert call.body is not None
    assert json.loads(call.body) == {"q": query, "n": count}


def attempt(given_values: dict[str, Any], *, typed: bool) -> None:
    try:
        params = FEED.bind(given_values, typed=typed)
        call = build_call(FEED.upstreams["a"], params)
    except InvalidParameter as error:
        problem_reply(error)  # it can be written, whatever was given
    else:
        check_call(call, params)


@given(st.fixed_dictionaries({"segment": texts, "query": texts, "header": texts}))
def test_any_text_keeps_a_calls_shape(given_values: dict[str, str]) -> None:
    """Origin, segments, fields and headers are the template's; or the value is refused."""
    attempt(given_values, typed=False)


@given(
    st.fixed_dictionaries(
        {"segment": values, "query": values, "header": values}, optional={"count": values}
    )
)
def test_any_json_keeps_a_calls_shape(given_values: dict[str, Any]) -> None:
    """A value of another type is refused, and never written as something else."""
    attempt(given_values, typed=True)


@given(st.dictionaries(texts, texts, max_size=3))
def test_any_name_is_refused_in_a_sentence_that_can_be_written(
    given_values: dict[str, str],
) -> None:
    """What is wrong is told in UTF-8, whatever the name was."""
    attempt({"segment": "a", "query": "b", "header": "c", **given_values}, typed=False)


@given(location=texts | texts.map("https://a.example".__add__) | texts.map("//".__add__))
def test_any_location_stays_on_its_origin(location: str) -> None:
    """A redirect leads to a URL of the same origin that can be sent as it stands, or nowhere."""
    options = ConnectionOptions()
    rest = {"headers": (), "body": None, "connect_timeout": 1.0, "options": options}
    call = Call(method="GET", url="https://a.example/x/y?q=1", **rest)  # type: ignore[arg-type]
    target = redirect(call, status=302, location=location, hosts=())
    if target is not None:
        assert urlsplit(target.url)[:2] == ("https", "a.example")
        assert all("!" <= char <= "~" for char in target.url)
