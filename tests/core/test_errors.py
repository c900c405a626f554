"""The tree of errors: as it is drawn, as problems and failures say it, and complete."""

import json
import re
from dataclasses import fields
from typing import Any

import pytest

from streaming.core import codec, errors, errors_request, errors_upstream
from streaming.core.errors import ConfigError, FanstreamError, InvalidEvent
from streaming.core.errors_request import RequestError
from streaming.core.errors_upstream import TimedOut, TooLarge, UpstreamError

# CONTRACT, "Events".
UPSTREAM_CODES = """
    connect timeout status protocol too_large decode disconnected circuit_open cancelled internal
""".split()

TREE = {module.__name__ for module in (errors, errors_request, errors_upstream)}

# A fact of each kind, as constructors take them.
FACTS: dict[Any, Any] = {int: 7, str: "x", float: 0.5, tuple[str, ...]: ("x", "y")}


def below(kind: type[FanstreamError]) -> list[type[Any]]:
    return [inner for child in kind.__subclasses__() for inner in (child, *below(child))]


def make(kind: type[Any]) -> Any:
    return kind(**{field.name: FACTS[field.type] for field in fields(kind)})


def drawn() -> dict[str, str]:
    """Read the tree out of the module's docstring: the word after each name."""
    tree = [line for line in (errors.__doc__ or "").splitlines() if re.search("[├└]──", line)]
    lines = [re.split(r"\s{2,}", line.partition("── ")[2]) for line in tree]
    return {name: line[-1] for line in lines for name in line[0].split(", ")}


requests = pytest.mark.parametrize("kind", below(RequestError), ids=lambda kind: kind.__name__)
upstreams = pytest.mark.parametrize("kind", below(UpstreamError), ids=lambda kind: kind.__name__)


def test_drawing_is_the_tree() -> None:
    """The docstring draws every error, and no other."""
    here = [kind for kind in below(FanstreamError) if kind.__module__ in TREE]
    assert sorted(drawn()) == sorted(kind.__name__ for kind in here)


@requests
def test_status_as_drawn(kind: type[RequestError]) -> None:
    """A request's error is answered with the status that is drawn beside it."""
    assert drawn()[kind.__name__] == str(kind.status)


@upstreams
def test_code_as_drawn(kind: type[UpstreamError]) -> None:
    """An upstream's error has the code that is drawn beside it."""
    assert drawn()[kind.__name__] == kind.code


def test_codes_of_the_contract() -> None:
    """The codes are the closed list of the contract, each with one class."""
    assert [kind.code for kind in below(UpstreamError)] == UPSTREAM_CODES


@requests
def test_problem_members(kind: type[RequestError]) -> None:
    """Its facts have a JSON form and none hides a standard member of a problem document."""
    error = make(kind)
    facts = json.loads(codec.encode(error.facts()))
    assert set(facts) == {field.name for field in fields(kind)}
    assert not set(facts) & {"type", "title", "status", "detail", "instance"}


@requests
def test_request_sentence(kind: type[RequestError]) -> None:
    """It says more than its class: a sentence on one line, without a dot at its end."""
    assert re.fullmatch(r"[^\n]+[^.\n]", str(make(kind)))


def test_problem_codes_are_distinct() -> None:
    """Programs tell the errors of requests apart by a word that can stand in a URN."""
    codes = [kind.code for kind in map(make, below(RequestError))]
    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch("[a-z]+(-[a-z]+)*", code) for code in codes)


@requests
def test_bounds_say_when_to_come_back(kind: type[RequestError]) -> None:
    """Whoever is refused for want of room is told when to ask again."""
    assert ("retry_after" in make(kind).facts()) == (kind.status == 503)


@upstreams
def test_upstream_sentence(kind: type[UpstreamError]) -> None:
    """What a failure says is made of its code and its facts alone, always the same."""
    assert str(make(kind)) == str(make(kind))
    assert re.fullmatch(r"[a-z][^\n]+[^.\n]", str(make(kind)))


def test_facts_stand_in_the_sentence() -> None:
    """The number that was passed is named, without digits that say nothing."""
    assert str(TimedOut("head", 10.0)) == "waited 10 s for the head"
    assert str(TimedOut("end", 0.25)) == "waited 0.25 s for the end"
    assert str(TooLarge("piece", 65536)) == "the piece is longer than 65536 bytes"


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (
            ConfigError("feeds.a.timeout", "must be a number", file="f.toml"),
            "f.toml: feeds.a.timeout: must be a number",
        ),
        (ConfigError("feeds.a", "is empty"), "feeds.a: is empty"),
        (ConfigError("", "is not TOML", file="f.toml"), "f.toml: is not TOML"),
        (InvalidEvent("id", "is long"), "the id of an event is long"),
    ],
)
def test_sentence(error: FanstreamError, sentence: str) -> None:
    """Where there is no file or no path, none is named."""
    assert str(error) == sentence
