"""The choice of a format: `?format=`, and what `Accept` lets pass."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streaming.core.errors_request import NotAcceptable
from streaming.core.negotiation import (
    FORMATS,
    MAX_ACCEPT_CHARS,
    choose_format,
    names_stream_type,
)

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"
AXIOS = "application/json, text/plain, */*"


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        (None, "sse"),
        ("", "sse"),
        ("*/*", "sse"),
        (BROWSER, "sse"),
        ("text/event-stream", "sse"),
        ("text/html", "sse"),
        ("text/*", "sse"),
        ("application/x-ndjson", "ndjson"),
        ("application/ndjson", "ndjson"),
        ("application/jsonl", "ndjson"),
        ("application/*", "ndjson"),
        ("text/plain", "text"),
        ("application/json", "json"),
    ],
)
def test_one_range(accept: str | None, chosen: str) -> None:
    """Each format is had by its type; what says nothing of it means SSE."""
    assert choose_format(format=None, accept=accept) == chosen


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("text/event-stream;q=0.5, application/json", "json"),
        ("text/plain;q=0.2, application/json;q=0.1", "text"),
        ("text/event-stream;q=0.001, text/plain;q=0", "sse"),
        ("text/html;q=0.9, application/json", "json"),
        ("*/*;q=0.1, text/plain;q=0.2", "text"),
        ("application/ndjson;q=0.3, application/jsonl;q=0.6, text/plain;q=0.5", "ndjson"),
    ],
)
def test_higher_quality_wins(accept: str, chosen: str) -> None:
    """The format that is liked best is chosen."""
    assert choose_format(format=None, accept=accept) == chosen


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("text/event-stream;q=0, */*", "ndjson"),
        ("text/*;q=0, */*;q=0.1", "ndjson"),
        ("text/*;q=0, text/plain;q=0.3, */*;q=0.2", "text"),
        ("*/*, text/*;q=0.5, application/x-ndjson;q=0.4", "json"),
        ("application/*;q=0.2, application/json;q=0.1", "ndjson"),
        ("text/html;q=0, */*", "sse"),
        ("application/x-ndjson;q=0, application/ndjson, text/plain;q=0.1", "text"),
    ],
)
def test_more_specific_range_decides(accept: str, chosen: str) -> None:
    """A type's own range goes before its family's, and that before `*/*`."""
    assert choose_format(format=None, accept=accept) == chosen


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("application/json, text/event-stream", "sse"),
        ("text/plain, application/x-ndjson", "ndjson"),
        ("text/plain, application/json", "json"),
        (AXIOS, "json"),
        ("*/*, text/plain", "text"),
        ("text/*;q=0.5, application/json;q=0.5", "json"),
    ],
)
def test_ties(accept: str, chosen: str) -> None:
    """Between equals a named one goes before a wildcard's, and then the order of `FORMATS`."""
    assert choose_format(format=None, accept=accept) == chosen


@pytest.mark.parametrize(
    "accept",
    [
        "image/png",
        "*/*;q=0",
        "text/event-stream;q=0",
        "text/event-stream;q=0.000, image/*",
        "application/xml, nonsense",
    ],
)
def test_nothing_acceptable(accept: str) -> None:
    """Where nothing passes the types that there are come with the refusal."""
    with pytest.raises(NotAcceptable) as caught:
        choose_format(format=None, accept=accept)
    assert caught.value.available == (
        "text/event-stream",
        "application/x-ndjson",
        "application/json",
        "text/plain",
    )


@pytest.mark.parametrize(
    "part",
    [
        "text",
        "text/",
        "/plain",
        "*/plain",
        "*",
        "text/plain/x",
        "te xt/plain",
        "text/plain;q=2",
        "text/plain;q=-1",
        "text/plain;q=1.001",
        "text/plain;q=0.1234",
        "text/plain;q=high",
        "text/plain;q=",
        "text/plain;q=\u0661",
        '"text/plain"',
        ";",
        ";q=1",
        "\u00e9/\u00e9",
    ],
)
def test_malformed_part_is_ignored(part: str) -> None:
    """A malformed part neither asks for anything nor keeps the others from being read."""
    assert choose_format(format=None, accept=part) == "sse"
    assert choose_format(format=None, accept=f"{part}, application/json;q=0.1") == "json"
    assert choose_format(format=None, accept=f"application/json;q=0.1, {part}") == "json"


@pytest.mark.parametrize(
    "accept",
    [
        "TEXT/Plain",
        " text/plain\t",
        ",, text/plain ,",
        "text/plain;charset=utf-8",
        "text/plain ; format=flowed ; q=0.5",
        "text/event-stream;Q=0.4, text/plain;q=0.5",
        "text/event-stream;q = 0.4, text/plain;q=0.5",
        "text/plain;;q=1., text/event-stream;q=0.999",
        'text/plain;a="x,y;q=0;\\"z", text/event-stream;q=0.9',
        'text/plain;a="never closed, text/event-stream',
        "text/plain;q=0, text/plain;q=1.000",
        "text/plain;q=1.000, text/plain;q=0",
    ],
)
def test_forms_of_the_same_range(accept: str) -> None:
    """Case, spaces, empty parts and parameters make no difference, quoted separators included."""
    assert choose_format(format=None, accept=accept) == "text"


@pytest.mark.parametrize("name", FORMATS)
def test_format_goes_before_accept(name: str) -> None:
    """`?format=` decides, even against an `Accept` that refuses everything."""
    assert choose_format(format=name, accept="image/png") == name


@pytest.mark.parametrize("name", ["", "xml", "SSE", "text/plain", "sse "])
def test_unknown_format(name: str) -> None:
    """A format that there is none of is not acceptable, whatever `Accept` says."""
    with pytest.raises(NotAcceptable) as caught:
        choose_format(format=name, accept="*/*")
    assert caught.value.available == FORMATS


def test_header_over_the_bound() -> None:
    """A header is read up to its bound, and refused beyond."""
    padded = "text/plain" + " " * (MAX_ACCEPT_CHARS - len("text/plain"))
    assert choose_format(format=None, accept=padded) == "text"
    with pytest.raises(NotAcceptable):
        choose_format(format=None, accept=padded + " ")


@pytest.mark.parametrize(
    ("accept", "is_named"),
    [
        (None, False),
        ("", False),
        ("*/*", False),
        ("text/*", False),
        (BROWSER, False),
        ("application/json", False),
        (AXIOS, False),
        ("application/json, text/event-stream;q=0.5", False),
        ("application/json, text/event-stream;q=0", False),
        ("image/png", False),
        ("x" * (MAX_ACCEPT_CHARS + 1), False),
        ("text/event-stream", True),
        ("application/json, text/event-stream", True),
        ("text/html, text/event-stream;q=0.9", True),
        ("application/x-ndjson", True),
        ("application/jsonl, */*;q=0.1", True),
        ("text/plain", True),
    ],
)
def test_names_stream_type(accept: str | None, is_named: bool) -> None:
    """A stream is named where the type that is chosen stands in the header itself."""
    assert names_stream_type(accept) is is_named


@given(accept=st.text(st.sampled_from('textplainjson/*;,q=01.5 "\\\t\n\u00e9')) | st.text())
@settings(deadline=None)
def test_any_header_is_answered(accept: str) -> None:
    """Any text at all gives a format or the one refusal."""
    try:
        assert choose_format(format=None, accept=accept) in FORMATS
    except NotAcceptable:
        assert not names_stream_type(accept)


@pytest.mark.parametrize("unit", ['"', '\\"', '"\\', ",", ";", "a/", "*/*;", '";'])
def test_hostile_header_costs_little(unit: str) -> None:
    """No header makes the expressions try again and again: ten of the longest cost little."""
    header = (unit * MAX_ACCEPT_CHARS)[:MAX_ACCEPT_CHARS]
    started = time.process_time()
    for _ in range(10):
        names_stream_type(header)
    assert time.process_time() - started < 0.5
