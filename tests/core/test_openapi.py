"""The OpenAPI document: legal, whole, and silent about upstreams."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from openapi_spec_validator import validate

from streaming.core import errors_request
from streaming.core.errors_request import RequestError
from streaming.core.feed import Feed, Param, Upstream
from streaming.core.negotiation import FORMATS, media_type
from streaming.core.openapi import openapi_document
from streaming.core.routes import ROUTES
from streaming.core.settings import AuthSettings

FEEDS = {
    feed.name: feed
    for feed in (
        Feed(
            "city",
            title="A city",
            params={"name": Param(default="Paris"), "days": Param(type="integer", max_length=2)},
            upstreams={
                "weather": Upstream(
                    url="https://secret.invalid/v1?city={name}",
                    headers={"X-Secret": "s3cr3t"},
                    json={"secret": "{days}"},
                )
            },
        ),
        Feed("a.b-c", upstreams={"once": Upstream(url="http://secret.invalid/", method="POST")}),
    )
}


AUTH = AuthSettings(jwks_url="https://secret.invalid/keys", algorithms=("RS256",), cookie="c")


def as_read(auth: AuthSettings | None = None) -> dict[str, Any]:
    """Return the document as a client reads it."""
    document: dict[str, Any] = json.loads(json.dumps(openapi_document(FEEDS, auth=auth)))
    return document


@pytest.fixture(name="document", scope="module")
def make_document() -> dict[str, Any]:
    """Return the document of an application that asks nobody who they are."""
    return as_read()


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        yield from ((path, key, value) for key, value in item.items() if key != "summary")


def statuses(document: dict[str, Any], path: str, method: str) -> set[int]:
    return {int(status) for status in document["paths"][path][method]["responses"]}


def resolve(document: dict[str, Any], described: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in described:
        *_, group, name = described["$ref"].split("/")
        described = document["components"][group][name]
    return described


def test_is_legal(document: dict[str, Any]) -> None:
    """It holds to the official schema; operation ids are unique and defaults fit their types."""
    validate(document)


def test_is_legal_without_feeds() -> None:
    """An application without feeds has a document too."""
    validate(openapi_document({}))


def test_is_legal_with_tokens() -> None:
    """One that asks for tokens says so by the official schema."""
    validate(as_read(AUTH))


def test_feed_names_cannot_make_two_operations_one() -> None:
    """Operation ids stay unique where feeds are called like parts of them."""
    upstreams = {"a": Upstream(url="http://a.example/")}
    names = ("feed", "feeds", "head", "run", "city", "feed_city", "head_city")
    validate(openapi_document({name: Feed(name, upstreams=upstreams) for name in names}))


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_describes_every_method(document: dict[str, Any], route: Any) -> None:
    """Every route and each of its methods is there, HEAD and OPTIONS as well."""
    item = document["paths"][route.rule.replace("<", "{").replace(">", "}")]
    assert {method.lower() for method in route.methods} == item.keys()


def test_every_feed_has_its_path_before_the_template(document: dict[str, Any]) -> None:
    """A reader that takes the first match finds the feed's own path."""
    paths = [path for path in document["paths"] if path.startswith("/feeds/")]
    assert paths == ["/feeds/city", "/feeds/a.b-c", "/feeds/{feed}"]


def test_server_keeps_a_prefix(document: dict[str, Any]) -> None:
    """Paths are relative to where the document was read."""
    assert document["servers"] == [{"url": "."}]


def test_says_nothing_of_upstreams_but_their_names(document: dict[str, Any]) -> None:
    """No address, header or body of an upstream gets in."""
    text = json.dumps(document).lower()
    assert "secret" not in text
    assert "s3cr3t" not in text


# ------------------------------------------------------------------------ answers


@pytest.mark.parametrize(
    ("path", "method", "expected"),
    [
        ("/feeds", "get", {200}),
        ("/feeds/{feed}", "get", {200, 204, 400, 403, 404, 406, 410, 422, 503}),
        ("/feeds/{feed}", "head", {200, 204, 400, 403, 404, 406, 410, 422, 503}),
        (
            "/feeds/{feed}",
            "post",
            {200, 201, 204, 400, 403, 404, 406, 408, 410, 413, 415, 422, 503},
        ),
        ("/feeds/{feed}", "options", {204}),
        ("/runs/{run}", "get", {200, 204, 400, 404, 406, 422, 503}),
        ("/runs/{run}", "head", {200, 204, 400, 404, 406, 422, 503}),
        ("/runs/{run}", "delete", {204, 400, 403, 404, 422, 503}),
        ("/healthz", "get", {200}),
        ("/readyz", "get", {200, 503}),
        ("/openapi.json", "get", {200}),
    ],
)
def test_statuses(document: dict[str, Any], path: str, method: str, expected: set[int]) -> None:
    """Each operation lists what it can answer, and no `default` that would stand for anything."""
    assert statuses(document, path, method) == expected


def test_a_feeds_own_path_always_finds_it(document: dict[str, Any]) -> None:
    """A concrete path has no 404."""
    assert 404 not in statuses(document, "/feeds/city", "get")


def test_only_what_is_not_repeatable_is_gone(document: dict[str, Any]) -> None:
    """A feed whose upstreams can all be repeated never answers 410."""
    assert 410 not in statuses(document, "/feeds/city", "get")
    assert 410 in statuses(document, "/feeds/a.b-c", "get")


def request_errors() -> list[type[RequestError]]:
    classes = [value for value in vars(errors_request).values() if isinstance(value, type)]
    return [cls for cls in classes if issubclass(cls, RequestError) and cls is not RequestError]


@pytest.mark.parametrize("error", request_errors(), ids=lambda error: error.__name__)
def test_every_error_is_answered_somewhere(error: type[RequestError]) -> None:
    """Each error of a request is in an answer with its status, or is one of no operation."""
    document = as_read(AUTH)
    reference = f'"#/components/schemas/{error.__name__}"'
    found = [
        path
        for path, _, operation in operations(document)
        if reference in json.dumps(operation["responses"].get(str(error.status)))
    ]
    assert found


def test_head_has_no_content(document: dict[str, Any]) -> None:
    """An answer to HEAD is described by its headers alone."""
    heads = [operation for _, method, operation in operations(document) if method == "head"]
    answers = [answer for operation in heads for answer in operation["responses"].values()]
    assert answers
    assert not [answer for answer in answers if "content" in answer or "$ref" in answer]


def test_unavailable_says_when_to_come_back(document: dict[str, Any]) -> None:
    """Every 503 has a `Retry-After`."""
    for _, _, operation in operations(document):
        if response := operation["responses"].get("503"):
            header = resolve(document, response["headers"]["Retry-After"])
            assert header["required"]


def test_a_stream_comes_in_every_format(document: dict[str, Any]) -> None:
    """GET answers each of the formats under its media type."""
    response = document["paths"]["/feeds/city"]["get"]["responses"]["200"]
    types = {media_type(format).partition(";")[0] for format in FORMATS}
    assert resolve(document, response)["content"].keys() == types


def test_created_run_says_where_it_is(document: dict[str, Any]) -> None:
    """201 has a `Location`, and links to what can be done with the run."""
    response = document["paths"]["/feeds/city"]["post"]["responses"]["201"]
    created = resolve(document, response)
    assert resolve(document, created["headers"]["Location"])["required"]
    assert created["links"].keys() == {"read_run", "delete_run"}


# --------------------------------------------------------------------- parameters


def test_a_feeds_path_has_its_parameters(document: dict[str, Any]) -> None:
    """The query has the feed's own parameters, and those of every stream."""
    described = document["paths"]["/feeds/city"]["get"]["parameters"]
    names = [resolve(document, parameter)["name"] for parameter in described]
    assert names == ["name", "days", "format", "ping", "Last-Event-ID", "last_event_id"]


def test_post_has_its_parameters_in_the_body(document: dict[str, Any]) -> None:
    """The body is an object of the feed's own parameters, and the query has none of them."""
    post = document["paths"]["/feeds/city"]["post"]
    schema = post["requestBody"]["content"]["application/json"]["schema"]
    assert schema["properties"].keys() == {"name", "days"}
    assert {resolve(document, each)["name"] for each in post["parameters"]}.isdisjoint(
        schema["properties"]
    )


def test_the_template_takes_any_parameter(document: dict[str, Any]) -> None:
    """Of a feed that is only named in the path, parameters may have any name."""
    described = document["paths"]["/feeds/{feed}"]["get"]["parameters"]
    free = next(each for each in described if each.get("name") == "parameters")
    assert (free["style"], free["explode"], free["schema"]["type"]) == ("form", True, "object")


def test_where_a_token_is_asked_for() -> None:
    """All but the probes and preflights can answer 401, and say where a token goes."""
    document = as_read(AUTH)
    for path, method, operation in operations(document):
        is_open = path in ("/healthz", "/readyz") or method == "options"
        assert ("401" in operation["responses"]) is not is_open
        ways = [] if is_open else [{"header": []}, {"query": []}, {"cookie": []}]
        assert operation.get("security", []) == ways


def test_no_token_where_nobody_is_asked() -> None:
    """Without `[auth]` there is not a word of tokens, nor of keys where there is one secret."""
    assert "401" not in json.dumps(as_read())
    assert "securitySchemes" not in as_read()["components"]
    assert "KeysUnavailable" not in json.dumps(as_read(AuthSettings(jwt_secret="x")))


def test_a_token_in_no_cookie() -> None:
    """Where no cookie may carry a token, none is described."""
    schemes = as_read(AuthSettings(jwt_secret="x", cookie=""))["components"]["securitySchemes"]
    assert schemes.keys() == {"header", "query"}
