"""The table of the HTTP interface, against the contract's."""

import pytest

from streaming.core.routes import ROUTES, Route

CALLS = [
    ("GET", "/feeds", "list_feeds"),
    ("GET", "/feeds/<feed>", "read_feed"),
    ("POST", "/feeds/<feed>", "create_run"),
    ("GET", "/runs/<run>", "read_run"),
    ("DELETE", "/runs/<run>", "delete_run"),
    ("GET", "/healthz", "read_health"),
    ("GET", "/readyz", "read_readiness"),
    ("GET", "/openapi.json", "read_openapi"),
]


def test_calls_of_the_contract() -> None:
    """There is every call that the contract lists, and no other."""
    calls = [
        (method, route.rule, operation)
        for route in ROUTES
        for method, operation in route.operations.items()
    ]
    assert calls == CALLS


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_head_goes_with_get(route: Route) -> None:
    """A HEAD is answered by what answers the GET."""
    assert "HEAD" in route.methods
    assert route.operation("HEAD") == route.operation("GET") == route.operations["GET"]


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_options_is_the_preflight(route: Route) -> None:
    """Every path answers OPTIONS, once."""
    assert route.methods.count("OPTIONS") == 1
    assert route.operation("OPTIONS") == "preflight"


def test_methods_of_a_path() -> None:
    """All methods of a path are named, each once, for its `Allow`."""
    (run,) = [route for route in ROUTES if route.name == "run"]
    assert run.methods == ("GET", "DELETE", "HEAD", "OPTIONS")


def test_names_are_distinct() -> None:
    """Frameworks register by name, so that two of one name would hide one another."""
    assert len({route.name for route in ROUTES}) == len({route.rule for route in ROUTES})
    assert len({route.name for route in ROUTES}) == len(ROUTES)
