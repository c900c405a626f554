"""Text for a person: a line for each event, and nothing in it that drives a terminal."""

import json
import unicodedata
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streaming.core import codec
from streaming.core.event import Event
from streaming.core.wire_text import TextWire

wire = TextWire()

RESULT = {
    "at": 0.412,
    "upstream": "weather",
    "status": 200,
    "elapsed": 0.4,
    "first_byte": 0.2,
    "attempts": 1,
    "content_type": "application/json",
    "body": {"t": 21},
    "done": 1,
    "of": 4,
}
FAILURE = {
    "at": 5.1,
    "upstream": "news",
    "code": "timeout",
    "message": "waited 5 s for the head",
    "status": None,
    "elapsed": 5.1,
    "first_byte": None,
    "attempts": 1,
    "done": 2,
    "of": 4,
}

# What may drive a terminal or turn a line around, by Unicode's own tables.
BIDI = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
MARKS = "\u061c\u200e\u200f\u2028\u2029"


def line_of(name: str, data: Any) -> str:
    event = Event(name, data)
    line = wire.encode(event.name, event.payload, is_text=event.is_text).decode()
    assert line.endswith("\n")
    return line[:-1]


def is_harmless(text: str) -> bool:
    return not any(
        unicodedata.category(char) == "Cc"
        or unicodedata.bidirectional(char) in BIDI
        or char in MARKS
        for char in text
    )


@pytest.mark.parametrize(
    ("name", "data", "line"),
    [
        (
            "start",
            {
                "at": 0.0,
                "run": "Xy3",
                "feed": "city",
                "params": {"name": "Paris"},
                "upstreams": ["weather", "news"],
                "time": "2026-01-02T03:04:05Z",
            },
            '+0.000s  city  start  {"name":"Paris"}  weather, news  run Xy3',
        ),
        (
            "attempt",
            {
                "at": 0.1,
                "upstream": "news",
                "attempt": 1,
                "code": "status",
                "status": 503,
                "elapsed": 0.1,
                "retry_in": 0.25,
            },
            "+0.100s  news  status 503  attempt 1 failed, again in 0.250s",
        ),
        (
            "attempt",
            {
                "at": 0.1,
                "upstream": "news",
                "attempt": 2,
                "code": "connect",
                "status": None,
                "elapsed": 0.1,
                "retry_in": 2,
            },
            "+0.100s  news  connect  attempt 2 failed, again in 2.000s",
        ),
        (
            "chunk",
            {"at": 1.5, "upstream": "chat", "n": 3, "data": "Hello"},
            '+1.500s  chat  #3  "Hello"',
        ),
        ("result", RESULT, '+0.412s  weather  200  {"t":21}  (1/4)'),
        ("result", RESULT | {"body": None}, "+0.412s  weather  200  null  (1/4)"),
        ("result", RESULT | {"body": None, "chunks": 7}, "+0.412s  weather  200  7 chunks  (1/4)"),
        ("result", RESULT | {"status": None}, '+0.412s  weather  ok  {"t":21}  (1/4)'),
        ("failure", FAILURE, "+5.100s  news  failed  timeout: waited 5 s for the head  (2/4)"),
        (
            "failure",
            FAILURE | {"attempts": 3},
            "+5.100s  news  failed  timeout: waited 5 s for the head, 3 attempts  (2/4)",
        ),
        (
            "done",
            {"at": 5.2, "ok": 3, "failed": 1, "cancelled": 0, "elapsed": 5.2, "reason": "finished"},
            "+5.200s  done  finished  3 ok, 1 failed, 0 cancelled",
        ),
        ("reset", {"reason": "unknown"}, "reset  unknown"),
        (
            "shutdown",
            {"reason": "drain", "reconnect_ms": 1500},
            "shutdown  drain  come back in 1.5 s",
        ),
        ("mine", [1, {"a": None}], 'mine  [1,{"a":null}]'),
        ("message", "hello", "message  hello"),
    ],
)
def test_line_of_each_event(name: str, data: Any, line: str) -> None:
    """Each event has its line: when, who, what."""
    assert line_of(name, data) == line


@pytest.mark.parametrize(
    "data", [{"at": "noon"}, {"at": 1.0}, [], None, 1, RESULT | {"status": "fine"}]
)
def test_namesake_is_written_whole(data: Any) -> None:
    """An event of a user's own that is only called `result` loses nothing."""
    assert line_of("result", data) == f"result  {codec.encode(data).decode()}"


def test_text_of_a_namesake_is_written() -> None:
    """Text under the name of a run's event is written as it is."""
    assert line_of("reset", '{"reason":"mine"}') == 'reset  {"reason":"mine"}'


def test_deeply_nested_body_is_written() -> None:
    """A body nested deeper than a parser goes is written all the same."""
    payload = b'{"at":0.1,"body":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    assert wire.encode("result", payload) == b"result  " + payload + b"\n"


def test_body_is_neither_cut_nor_changed() -> None:
    """A body stands in the line whole: any length, and numbers of any size."""
    body = b'{"a":' + b"9" * 5000 + b',"b":"' + b"x" * 100_000 + b'"}'
    payload = codec.encode(RESULT).replace(b'{"t":21}', body)
    assert wire.encode("result", payload) == b"+0.412s  weather  200  " + body + b"  (1/4)\n"


@pytest.mark.parametrize(
    ("char", "written"),
    [
        ("\x1b", "\\u001b"),
        ("\x00", "\\u0000"),
        ("\n", "\\n"),
        ("\r", "\\r"),
        ("\t", "\\t"),
        ("\x7f", "\\u007f"),
        ("\x80", "\\u0080"),
        ("\x9b", "\\u009b"),
        ("\x9f", "\\u009f"),
        ("\u202e", "\\u202e"),
        ("\u2066", "\\u2066"),
        ("\u2028", "\\u2028"),
        ("\u2029", "\\u2029"),
        ("\u200f", "\\u200f"),
        ("\u061c", "\\u061c"),
        (" ", " "),
        ("\\", "\\"),
        ("\xa0", "\xa0"),
        ("\u200d", "\u200d"),
        ("\U0001f600", "\U0001f600"),
    ],
)
def test_escapes_what_drives_a_terminal(char: str, written: str) -> None:
    """Control characters are escaped, and what scripts and emoji need is not."""
    assert line_of("message", f"a{char}b") == f"message  a{written}b"


@given(text=st.text(st.characters(exclude_categories=["Cs"])))
@settings(deadline=None)
def test_nothing_drives_a_terminal_from_anywhere(text: str) -> None:
    """Whichever value an upstream or a user fills, the line holds no control character."""
    event_name = text.translate(dict.fromkeys(b"\r\n\0")).replace("error", "") or "a"
    for name, data in (
        (event_name, {text: text}),
        ("message", text),
        ("result", RESULT | {"upstream": text, "body": {text: [text]}}),
        ("failure", FAILURE | {"message": text, "code": text}),
        ("chunk", {"at": 0, "upstream": text, "n": 1, "data": text}),
        ("reset", {"reason": text}),
    ):
        assert is_harmless(line_of(name, data))


@given(body=st.text() | st.lists(st.text(st.characters(exclude_categories=["Cs"]))))
@settings(deadline=None)
def test_escaped_json_is_the_same_json(body: Any) -> None:
    """Escaping a body leaves it JSON, of the same value."""
    line = line_of("chunk", {"at": 0, "upstream": "a", "n": 1, "data": body})
    assert json.loads(line.removeprefix("+0.000s  a  #1  ")) == body


def test_preamble_and_beats_are_empty_lines() -> None:
    """What only keeps the connection alive shows as an empty line."""
    assert wire.preamble(retry_ms=1, ping_interval=1.0) == b"\n"
    assert wire.beat() == wire.beat(as_event=True) == b"\n"
