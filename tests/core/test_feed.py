"""Feeds: what they are made of, and the binding of parameters."""

import pytest

from streaming.core.errors import ConfigError
from streaming.core.errors_request import InvalidParameter
from streaming.core.feed import RESERVED_PARAMETERS, Feed, Param, Upstream

URL = "https://api.example/v1"
UPSTREAMS = {"weather": Upstream(url=URL)}


def feed(**params):
    return Feed("city", params=params, upstreams=UPSTREAMS)


def test_the_defaults_are_the_contracts():
    """What is not said is what the contract shows."""
    made = Feed("city", upstreams=UPSTREAMS)
    policy = (made.title, made.timeout, made.on_disconnect, made.linger, made.share, made.keep)
    assert policy == ("", 30.0, "linger", 15.0, False, 300.0)


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"name": ""}, "name"),
        ({"name": "-a"}, "name"),
        ({"name": "a/b"}, "name"),
        ({"name": "a" * 101}, "name"),
        ({"title": 1}, "title"),
        ({"timeout": 0}, "timeout"),
        ({"on_disconnect": "stop"}, "on_disconnect"),
        ({"linger": -1}, "linger"),
        ({"share": "yes"}, "share"),
        ({"share": 1}, "share"),
        ({"keep": "long"}, "keep"),
        ({"upstreams": {}}, "upstreams"),
        ({"upstreams": []}, "upstreams"),
        ({"upstreams": {"a": URL}}, "upstreams.a"),
        ({"upstreams": {"a b": Upstream(url=URL)}}, 'upstreams."a b"'),
        ({"params": {"a": "string"}}, "params.a"),
        ({"params": {"1a": Param()}}, "params.1a"),
        ({"params": {"a-b": Param()}}, "params.a-b"),
        ({"params": {"a" * 101: Param()}}, "params." + "a" * 101),
        ({"upstreams": {"a": Upstream(url=URL + "/{x}")}}, "upstreams.a.url"),
        (
            {"upstreams": {"a": Upstream(url=URL, headers={"X-A": "{x}"})}},
            "upstreams.a.headers.X-A",
        ),
        (
            {"upstreams": {"a": Upstream(url=URL, json={"b": [0, "{x}"]})}},
            "upstreams.a.json.b[1]",
        ),
    ],
)
def test_a_mistake_names_its_place(fields, path):
    """A feed that cannot be is not made."""
    with pytest.raises(ConfigError) as raised:
        Feed(**{"name": "city", "upstreams": UPSTREAMS, **fields})
    assert raised.value.path == path


@pytest.mark.parametrize("name", sorted(RESERVED_PARAMETERS))
def test_a_reserved_parameter_is_refused(name):
    """A name that means something to every feed cannot be one's own."""
    with pytest.raises(ConfigError, match="is a reserved name"):
        feed(**{name: Param()})


def test_an_undeclared_parameter_is_named_with_the_nearest_declared_one():
    """A slip of the pen is told as such."""
    with pytest.raises(ConfigError) as raised:
        Feed("a", params={"city": Param()}, upstreams={"b": Upstream(url=URL + "/{ciyt}")})
    assert raised.value.reason == "unknown parameter 'ciyt'; did you mean 'city'?"


def test_a_feed_does_not_change_with_what_it_was_made_of():
    """A table that its maker goes on using is not the feed's."""
    upstreams = dict(UPSTREAMS)
    made = Feed("city", upstreams=upstreams)
    upstreams.clear()
    assert list(made.upstreams) == ["weather"]


def test_values_are_bound_in_declared_order_with_defaults():
    """Runs are compared by what is bound, whatever the order was in which it was given."""
    made = feed(a=Param(type="integer"), b=Param(default="x"), c=Param(type="boolean"))
    bound = made.bind({"c": "true", "a": "1"}, typed=False)
    assert list(bound.items()) == [("a", 1), ("b", "x"), ("c", True)]


def test_typed_values_are_bound_by_their_types():
    """A JSON string is no integer, though a query's is."""
    made = feed(a=Param(type="integer"))
    assert made.bind({"a": 1}, typed=True) == made.bind({"a": "1"}, typed=False)
    with pytest.raises(InvalidParameter):
        made.bind({"a": "1"}, typed=True)


@pytest.mark.parametrize(
    ("given", "parameter", "reason"),
    [
        ({}, "n", "is missing"),
        ({"n": "1", "m": "2"}, "m", "is not a parameter of this feed"),
        ({"n": "x"}, "n", "must be an integer"),
        ({"n": "1" * 201}, "n", "is longer than 200 characters"),
        ({"n": "1", "x" * 500: ""}, "x" * 100, "is not a parameter of this feed"),
        ({"n": "1", "\ud800": ""}, "?", "is not a parameter of this feed"),
    ],
)
def test_a_wrong_parameter_is_refused_by_name(given, parameter, reason):
    """Who sent it learns which one, and what is wrong with it."""
    with pytest.raises(InvalidParameter) as raised:
        feed(n=Param(type="integer")).bind(given, typed=False)
    assert (raised.value.parameter, raised.value.reason) == (parameter, reason)


def test_a_feed_describes_itself_without_its_upstreams_secrets():
    """Names of upstreams are told, where they are and what they are sent is not."""
    made = Feed("city", title="A city", params={"n": Param()}, upstreams=UPSTREAMS)
    assert made.describe() == {
        "name": "city",
        "title": "A city",
        "params": {"n": Param().describe()},
        "upstreams": ["weather"],
    }
