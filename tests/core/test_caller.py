"""Callers: what the claims of a token give the right to, and which claims are refused."""

import math
from typing import Any

import pytest

from streaming.core.caller import ANYONE, Caller, caller_of
from streaming.core.errors_request import Forbidden, InvalidToken
from streaming.core.feed import Feed, Upstream

UPSTREAMS = {"a": Upstream(url="http://a.example/")}


def test_anyone_may_do_everything() -> None:
    """Where nobody is asked who they are, all may run, watch and stop, for ever."""
    ANYONE.check_feed("city")
    assert ANYONE.may_watch(Feed("city", upstreams=UPSTREAMS), started_by="")
    assert ANYONE.may_stop
    assert ANYONE.expires is None


def test_claims_that_give_nothing() -> None:
    """A token without the claims of CONTRACT gives no right at all."""
    caller = caller_of({"sub": "ada"})
    assert not caller.may_run("city")
    assert not caller.may_stop


def test_claims_that_name_feeds() -> None:
    """Each feed that is named may be run, and no other, whether or not there is one."""
    caller = caller_of({"feeds": ["city", "town"], "stop": True, "exp": 12.5})
    assert [caller.may_run(name) for name in ("city", "town", "tow", "*")] == [1, 1, 0, 0]
    assert (caller.may_stop, caller.expires) == (True, 12.5)


def test_every_feed() -> None:
    """`*` among the names stands for every feed."""
    assert caller_of({"feeds": ["city", "*"]}).may_run("any")


def test_a_feed_that_may_not_be_run() -> None:
    """The refusal names the feed."""
    with pytest.raises(Forbidden, match="no right to run feed 'city'"):
        caller_of({"feeds": ["town"]}).check_feed("city")


def test_who_somebody_is() -> None:
    """A subject is one within its issuer; who names none is the same caller as all such."""
    ids = [
        caller_of(claims).id
        for claims in ({"sub": "ada"}, {"sub": "ada", "iss": "x"}, {"sub": "bob"}, {}, {"iss": "x"})
    ]
    assert len(set(ids[:3])) == 3
    assert ids[3:] == ["", ""]


@pytest.mark.parametrize("share", [False, True])
def test_a_run_of_somebody_else(share: bool) -> None:
    """It is watched by who started it alone, unless the feed shares runs among all."""
    feed = Feed("city", upstreams=UPSTREAMS, share=share)
    assert Caller(id="ada").may_watch(feed, started_by="ada")
    assert not Caller(id="ada").may_watch(feed, started_by="bob")
    assert not Caller(id="ada").may_watch(feed, started_by="")


def test_a_run_that_all_share() -> None:
    """Whoever may run the feed may watch it, and nobody else."""
    feed = Feed("city", upstreams=UPSTREAMS, share="all")
    assert Caller(id="ada", feeds=frozenset({"city"})).may_watch(feed, started_by="bob")
    assert not Caller(id="bob", feeds=frozenset({"town"})).may_watch(feed, started_by="bob")


@pytest.mark.parametrize(
    ("claims", "claim"),
    [
        ({"sub": 1}, "sub"),
        ({"sub": ["ada"]}, "sub"),
        ({"feeds": "*"}, "feeds"),
        ({"feeds": ["city", 1]}, "feeds"),
        ({"feeds": {"city": True}}, "feeds"),
        ({"feeds": None}, "feeds"),
        ({"stop": "true"}, "stop"),
        ({"stop": 1}, "stop"),
        ({"exp": "tomorrow"}, "exp"),
        ({"exp": True}, "exp"),
        ({"exp": 10**400}, "exp"),
        ({"exp": -(10**400)}, "exp"),
        ({"exp": math.inf}, "exp"),
        ({"exp": math.nan}, "exp"),
        ({"sub": "\ud800"}, "sub"),
        ({"sub": "ada", "iss": math.inf}, "sub"),
    ],
)
def test_claims_of_the_wrong_kind(claims: dict[str, Any], claim: str) -> None:
    """A claim of another type than it has to have is refused by name, not taken for a right."""
    with pytest.raises(InvalidToken, match=rf"its claim {claim}\b"):
        caller_of(claims)
