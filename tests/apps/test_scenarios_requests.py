"""Parameters and bodies, right and wrong, on both applications."""

import http.client
import json
from collections.abc import Iterator

import pytest

from tests.viewing import TIMEOUT, ask, problem, watching

MAX_BODY_BYTES = 4096


def result(response):
    """The body that the upstream of a run has answered."""
    assert response.status_code == 200, response.text
    return response.json()["results"]["a"]["body"]


def refused(response, parameter):
    """The problem document of a parameter that was refused."""
    assert response.status_code == 422, response.text
    document = problem(response)
    assert document["parameter"] == parameter
    return document


# ------------------------------------------------------------------- what is not there


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize("feed", ["none", "ONE", "one%00", "%ff", "%2e%2e", "é", "a" * 1000])
def test_an_unknown_feed_is_404(url, method, feed):
    """A feed that is not there is told so."""
    response = ask(url, f"/feeds/{feed}", method=method)
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "path", ["/none", "/feeds/", "/feeds/one/", "/feeds/a/b", "/runs", "/runs/", "/static/none.js"]
)
def test_an_unknown_path_is_a_problem_document(url, path):
    """A program is told of a wrong path as of all else."""
    response = ask(url, path)
    assert response.status_code == 404
    problem(response)


@pytest.mark.parametrize(
    ("method", "path"),
    [("PUT", "/feeds/one"), ("POST", "/runs/x"), ("DELETE", "/feeds/one"), ("POST", "/healthz")],
)
def test_a_wrong_method_is_405(url, method, path):
    """A method that a path does not take is told so, with those that it does."""
    response = ask(url, path, method=method)
    assert response.status_code == 405
    assert "GET" in response.headers["allow"]
    problem(response)


@pytest.mark.parametrize(
    "path",
    ["/static/../app_quart.py", "/static/%2e%2e/pyproject.toml", "/static/..%2f..%2fetc/passwd"],
)
def test_no_file_beside_the_page_is_served(served, path):
    """A path cannot climb out of the page's folder."""
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=TIMEOUT)
    connection.request("GET", path)
    response = connection.getresponse()
    response.read()
    connection.close()
    assert response.status == 404


# ------------------------------------------------------------------------ parameters


def test_a_missing_parameter_is_422(url):
    """A parameter without a default has to be given."""
    refused(ask(url, "/feeds/quick"), "key")
    refused(ask(url, "/feeds/quick", method="POST", json={}), "key")


def test_an_unknown_parameter_is_422(url, key):
    """A parameter that nobody declared is a mistake, and not passed over."""
    refused(ask(url, f"/feeds/quick?key={key}&other=1"), "other")
    refused(ask(url, "/feeds/quick", method="POST", json={"key": key, "other": 1}), "other")
    refused(ask(url, "/feeds/quick?key=1", method="POST", json={"key": key}), "key")


def test_a_parameter_given_twice_is_422(url):
    """Two values for one parameter: neither is chosen."""
    refused(ask(url, "/feeds/quick?key=a&key=a"), "key")


@pytest.mark.parametrize("name", ["format", "last_event_id", "access_token", "feed"])
def test_a_reserved_name_is_no_parameter(url, key, name):
    """What the interface itself takes is not handed to the feed."""
    response = ask(url, f"/feeds/one?{name}=sse")
    assert response.status_code == 200
    refused(ask(url, "/feeds/one", method="POST", json={name: "sse"}), name)


def test_ping_is_event_or_nothing(url):
    """Another wish for beats is refused rather than passed over."""
    assert ask(url, "/feeds/one?ping=event").status_code == 200
    refused(ask(url, "/feeds/one?ping=1"), "ping")


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("text", "12345678901"),
        ("text", "no!"),
        ("text", "\0"),
        ("count", ""),
        ("count", "1.0"),
        ("count", " 1"),
        ("count", "1_000"),
        ("count", "0x10"),
        ("count", "\u0661"),
        ("count", "true"),
        ("count", "9" * 5000),
        ("size", "nan"),
        ("size", "inf"),
        ("size", "1e999"),
        ("size", ""),
        ("loud", "maybe"),
        ("loud", ""),
    ],
)
def test_an_ill_formed_value_is_422(served, parameter, value):
    """A value of a query that is not of its type, or breaks its bounds, is refused by name."""
    # Past the bound of a request line 422 cannot be asked for.
    value = value[:3000]
    params = {"text": "x", parameter: value, "format": "json"}
    refused(ask(served.base_url, "/feeds/typed", params=params), parameter)


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        *(("text", value) for value in (1, None, True, [], {}, "12345678901", "a\0")),
        *(("count", value) for value in ("1", 1.5, True, None, [1], 10**1000)),
        *(("size", value) for value in ("1", True, None)),
        *(("loud", value) for value in ("true", 1, 0, None)),
    ],
)
def test_a_json_value_of_another_type_is_422(url, parameter, value):
    """In JSON the types have to match: nothing is taken for something else."""
    document = {"text": "x", parameter: value}
    refused(ask(url, "/feeds/typed?format=json", method="POST", json=document), parameter)


def test_types_reach_the_upstream(url):
    """A JSON string that is a parameter alone keeps the parameter's type."""
    given = {"text": "é\u2028", "count": -12345678901234567890, "size": 1.5, "loud": True}
    with watching(url, "/feeds/typed?format=ndjson", method="POST", json=given) as viewer:
        assert viewer.until("start").data["params"] == given
        assert json.loads(viewer.until("result").data["body"]["body"]) == given


def test_types_are_read_from_a_query(url):
    """The strings of a query become what the parameters are."""
    query = "text=a%20b&count=-7&size=1e3&loud=true&format=json"
    body = result(ask(url, f"/feeds/typed?{query}"))["body"]
    assert json.loads(body) == {"text": "a b", "count": -7, "size": 1000.0, "loud": True}


@pytest.mark.parametrize(
    "value",
    [*("..", ".", "%2e%2e"), "a/../../b", "a\\..\\b", "a\r\nX: 1", "a b", "é/ü?x#y", "%", ""],
)
def test_a_parameter_stays_in_its_segment(url, value):
    """Whatever a parameter of the path holds, the upstream is asked below the same path."""
    response = ask(url, "/feeds/placed", params={"segment": value, "format": "json"})
    if response.status_code == 422:
        assert value in (".", "..", "")
        return
    target = result(response)["target"]
    path, _, query = target.partition("?")
    assert (path.count("/"), query) == (3, "q=b")
    assert path.startswith("/echo/")
    assert path.endswith("/end")


@pytest.mark.parametrize("value", ["..", "."])
def test_a_dot_segment_is_422(url, value):
    """A value that would climb the upstream's path is refused, by GET and by POST."""
    refused(ask(url, "/feeds/placed", params={"segment": value}), "segment")
    refused(ask(url, "/feeds/placed", method="POST", json={"segment": value}), "segment")


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\n", "\r", "a\0b", "\x1b[31m", "\x7f"])
def test_a_control_character_for_a_header_is_422(url, upstreams, value):
    """A value that would break a header's line is refused before any upstream is called."""
    before = len(upstreams.requests)
    refused(ask(url, "/feeds/placed", params={"header": value}), "header")
    refused(ask(url, "/feeds/placed", method="POST", json={"header": value}), "header")
    assert len(upstreams.requests) == before


def test_line_breaks_in_a_query_are_data(url):
    """What is dangerous in a header is harmless in a query: it arrives percent-encoded."""
    params = {"query": "a\r\nb&c=d e", "format": "json"}
    target = result(ask(url, "/feeds/placed", params=params))["target"]
    assert target == "/echo/a/end?q=a%0D%0Ab%26c%3Dd%20e"


def test_line_breaks_in_a_parameter_break_no_frame(url, key):
    """A value with line breaks comes back in `start` as it was given, in one event."""
    value = f"{key}\r\n\r\nevent: done\ndata: {{}}\r\u2028x"
    response = ask(url, "/feeds/quick", params={"key": value})
    blocks = response.text.split("\n\n")
    start = next(block for block in blocks if "event: start" in block)
    data = start.split("\ndata: ", 1)[1]
    assert json.loads(data)["params"] == {"key": value}


def test_a_value_of_500_wide_characters_fits(url):
    """A question of 500 characters can be asked by an EventSource, which has only the address."""
    value = "問" * 500
    response = ask(url, "/feeds/quick", params={"key": value, "format": "json"})
    # One over the parameter's own bound is told so by the parameter, and not by the server.
    refused(response, "key")


# ---------------------------------------------------------------------------- bodies


def post(served, body, *, chunked=False):
    """POST a body of any size; return the status and the rest of the answer."""

    def pieces() -> Iterator[bytes]:
        for i in range(0, len(body), 1000):
            yield body[i : i + 1000]

    content = pieces() if chunked else body
    headers = {"Content-Type": "application/json"}
    return ask(served.base_url, "/feeds/quick", method="POST", content=content, headers=headers)


def padded(key, size):
    """A right body of just so many bytes."""
    document = json.dumps({"key": key}).encode()
    return document + b" " * (size - len(document))


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_at_the_bound_is_read(served, key, chunked):
    """A body of exactly `max_body_bytes` is taken, however it is sent."""
    response = post(served, padded(key, MAX_BODY_BYTES), chunked=chunked)
    assert response.json()["params"] == {"key": key}


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("size", [MAX_BODY_BYTES + 1, 10 * MAX_BODY_BYTES, 1 << 20])
def test_a_body_over_the_bound_is_413(served, upstreams, key, chunked, size):
    """A longer one is refused, with the bound, and starts nothing."""
    response = post(served, padded(key, size), chunked=chunked)
    assert response.status_code == 413
    assert problem(response)["max_bytes"] == MAX_BODY_BYTES
    assert not upstreams.calls[f"/json/{key}-a"]


def test_a_body_in_pieces_is_read_whole(served, key):
    """A body that comes in several packets is waited for."""
    body = padded(key, 2000)
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=TIMEOUT)
    connection.putrequest("POST", "/feeds/quick")
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Content-Length", str(len(body)))
    connection.endheaders()
    connection.send(body[:500])
    # Another request is answered in the meantime, which proves that this one waits.
    assert ask(served.base_url, "/healthz").status_code == 200
    connection.send(body[500:])
    response = connection.getresponse()
    assert json.loads(response.read())["params"] == {"key": key}
    connection.close()


def test_a_get_with_a_body_is_answered(url, key):
    """A body that means nothing is passed over."""
    response = ask(url, f"/feeds/quick?key={key}&format=json", content=b"x" * 5000)
    assert response.json()["done"]["ok"] == 2


@pytest.mark.parametrize("value", ["%ff", "%ed%a0%80", "%c3"])
def test_a_value_that_is_not_utf8_is_refused(url, value):
    """It is named, rather than passed on as something else."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=TIMEOUT)
    connection.request("GET", f"/feeds/quick?key={value}")
    response = connection.getresponse()
    said = json.loads(response.read())
    connection.close()
    assert (response.status, said["parameter"]) == (422, "key")
    assert "surrogate" in said["reason"]


def test_a_refused_type_is_not_kept_for_others(url):
    """A cache between is told what a 406 depends on."""
    response = ask(url, "/feeds/one", headers={"Accept": "image/png"})
    assert response.status_code == 406
    assert "Accept" in response.headers["vary"]


def test_a_stop_takes_no_parameters(url, key):
    """What a path does not know is refused on all of its methods."""
    run = ask(url, "/feeds/quick", method="POST", json={"key": key}).json()["run"]
    assert ask(url, f"/runs/{run}?x=1", method="DELETE").status_code == 422
    assert ask(url, f"/runs/{run}", method="DELETE").status_code == 204
