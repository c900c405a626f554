"""Requests of any bytes, to both applications: a clear answer each time, and nothing injected.

Hypothesis makes them, over sockets of their own, out of what breaks frames, lines, headers, URLs
and encodings. An answer never has a status of 500 or a header that is not ours; a stream never has
an event, and an upstream never a path, a parameter or a header that the feed does not.
"""

import json
import unicodedata
from urllib.parse import quote, unquote_to_bytes

import httpx
import httpx_sse
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.raw_asking import ask_raw, head
from tests.viewing import ask

HEADERS = frozenset(
    "accept-ranges allow cache-control connection content-disposition content-length content-range"
    " content-security-policy content-type date etag last-modified location retry-after server"
    " transfer-encoding vary x-accel-buffering".split()
)
"""All that the applications and their servers ever answer."""

UPSTREAM_HEADERS = {"host", "x-word", "authorization"}
"""What the feed `placed` sends beside what every call has."""

DEFAULTS = {"segment": "a", "query": "b", "header": "c"}
"""The parameters of that feed: where each of them is put, its name says."""

TOKENS = (
    *(b"\r\n", b"\n", b"\r", b"\0", b"\t", b"\x0b", b"\x1b[2J", b"\x7f", b" ", b"\xc2\x85"),
    *(b"%", b"%0d%0a", b"%00", b"%zz", b"%2", b"%ff", b"%ed%a0%80", b"\xff", b"\xed\xa0\x80"),
    *(b"..", b".", b"%2e", b"/", b"//", b"\\", b";", b"?", b"#", b"@", b":", b"&", b"=", b"+"),
    *(b"{", b"}", b"{{", b"[", b"]", b'"', b"'", b"<", b",", b"*", b"a", b"0", b"-1"),
    *("\u2028".encode(), "\u202e".encode(), "\ufeff".encode(), "é".encode(), "😀".encode()),
    *(b"\r\nX-Injected: 1", b"\r\n\r\nevent: injected\ndata: {}\n\n", b"data:", b"x" * 201),
)
anything = st.lists(st.sampled_from(TOKENS) | st.binary(max_size=3), max_size=10).map(b"".join)
# One line of a head: what ends it would be another line of the client's own.
lines = anything.map(lambda value: value.translate(None, b"\r\n"))
targets = lines.map(lambda value: value.translate(None, b" \t#"))
texts = st.text(st.sampled_from('\r\n\0\x7f\u2028\u202e\ud800%./\\{}" é') | st.characters())
formats = st.sampled_from(["sse", "ndjson", "text", "json"])


def some_of(values):
    """Values for some parameters of the feed `placed`; the others have their defaults."""
    return st.fixed_dictionaries({}, optional=dict.fromkeys(DEFAULTS, values))


bounded = settings(max_examples=200, deadline=None, derandomize=True, database=None)


def written(value):
    """A value of a query as clients write it, or nearly: a stray `%` and `+` stay."""
    return quote(value, safe="%+;=/?:@!$'()*,~").encode()


def decoded(value):
    """What a value of a query stands for; None where it is no text."""
    try:
        return unquote_to_bytes(value.replace(b"+", b" ")).decode()
    except UnicodeDecodeError:
        return None


def check(answer, *statuses, by_server=False):
    """Say that an answer is one of these, and has nothing in it that was injected.

    `by_server`: whether the server may refuse what it is sent before an application sees it.
    """
    assert {name.lower() for name, _ in answer.headers} <= HEADERS
    if by_server and answer.status in (400, 417) and b"urn:fanstream" not in answer.body:
        return
    assert answer.status in statuses, answer
    if answer.status >= 400 and answer.body:
        answer.problem()


def events(answer):
    """The events of a stream as pairs of name and data, and the ids of all that have one."""
    body, content_type = answer.body, answer.header("content-type")
    if content_type == "text/event-stream":
        response = httpx.Response(200, headers={"Content-Type": content_type}, content=body)
        seen = [each for each in httpx_sse.EventSource(response).iter_sse() if each.data]
        # The id of an event without one is that before it.
        return [(each.event, json.loads(each.data)) for each in seen], [each.id for each in seen]
    messages = [json.loads(line) for line in body.split(b"\n")[:-1]]
    pairs = [(each["event"], each["data"]) for each in messages if each["event"] != "open"]
    return pairs, [each["id"] for each in messages if "id" in each]


def params_in(answer):
    """The parameters that a whole answer says a run had; it has no event that is not the run's."""
    if answer.header("content-type") == "application/json":
        return json.loads(answer.body)["params"]
    pairs, ids = events(answer)
    assert [name for name, _ in pairs] == ["start", "result", "done"]
    run = pairs[0][1]["run"]
    assert ids == [f"{run}-1", f"{run}-2", f"{run}-3"]
    return pairs[0][1]["params"]


def check_text(answer):
    """The text of a run is three lines, and drives no terminal."""
    text = answer.body.decode()
    assert len([line for line in text.split("\n") if line]) == 3
    assert {unicodedata.category(char) for char in text if char != "\n"}.isdisjoint(
        {"Cc", "Cs", "Zl", "Zp"}
    )


def check_call(call, params):
    """What an upstream was asked is what the feed's templates say, and no more."""
    path, _, query = call.target.partition("?")
    assert path == f"/echo/{quote(params['segment'], safe='')}/end"
    assert query == f"q={quote(params['query'], safe='')}"
    names = [name.lower() for name, _ in call.headers]
    assert set(names) - {"accept", "accept-encoding", "user-agent"} == UPSTREAM_HEADERS
    assert len(names) == len(set(names))
    assert call.header("x-word").encode("latin-1").decode() == params["header"].strip(" ")


def check_run(answer, upstreams, before, given):
    """Say that a feed answered with a run of these parameters, or refused one by name."""
    calls = upstreams.requests[before:]
    if answer.status != 200:
        assert answer.problem()["parameter"] in given
        assert not calls
        return
    given = DEFAULTS | given
    if answer.header("content-type").startswith("text/plain"):
        check_text(answer)
    else:
        assert params_in(answer) == given
    assert len(calls) == 1
    check_call(calls[0], given)


# ------------------------------------------------------------------------ parameters


@given(values=some_of(anything), format=formats)
@bounded
def test_a_query_of_any_bytes(served, upstreams, values, format):
    """Each value is passed on as it was given, at its own place, or it is refused by its name."""
    before = len(upstreams.requests)
    parts = [b"%b=%b" % (name.encode(), written(value)) for name, value in values.items()]
    target = b"/feeds/placed?format=%b&%b" % (format.encode(), b"&".join(parts))
    answer = ask_raw(served.port, head(b"GET", target))
    check(answer, 200, 422)
    given = {name: decoded(written(value)) for name, value in values.items()}
    check_run(answer, upstreams, before, given)


@given(values=some_of(texts), format=formats, as_escapes=st.booleans())
@bounded
def test_a_json_body_of_any_text(served, upstreams, values, format, as_escapes):
    """A string in a body is a parameter like any other, however its characters are written."""
    before = len(upstreams.requests)
    body = json.dumps(values, ensure_ascii=as_escapes).encode(errors="surrogatepass")
    answer = ask_raw(served.port, posted(body, format), method="POST")
    if answer.status == 400:
        check(answer, 400)
        # Half a pair of surrogates is no UTF-8, and as an escape no character.
        assert any("\ud800" <= char <= "\udfff" for char in "".join(values.values()))
        return
    check(answer, 200, 422)
    # Two halves that stand beside each other are one character, as escapes.
    check_run(answer, upstreams, before, json.loads(json.dumps(values)))


@given(body=anything, format=formats)
@bounded
def test_a_body_of_any_bytes(served, body, format):
    """What is no JSON object of the feed's parameters is refused."""
    check(ask_raw(served.port, posted(body, format), method="POST"), 200, 400, 422)


def posted(body, format):
    """A request that starts a run, and is answered with its stream."""
    fields = [
        (b"Accept", b"*/*, application/json;q=0.1"),
        (b"Content-Type", b"application/json"),
        (b"Content-Length", b"%d" % len(body)),
    ]
    if format == "json":
        format = "ndjson"  # of a POST it is the answer that does not wait for the end
    return head(b"POST", b"/feeds/placed?format=" + format.encode(), *fields) + body


# ------------------------------------------------------------------------------ paths


@given(
    folder=st.sampled_from([b"/feeds/", b"/runs/", b"/static/", b"/"]),
    name=targets,
    method=st.sampled_from(["GET", "HEAD", "POST", "DELETE", "OPTIONS"]),
)
@example(folder=b"/feeds/", name=b"/one", method="GET")
@example(folder=b"/runs/", name=b"/", method="DELETE")
@bounded
def test_a_path_of_any_bytes(served, folder, name, method):
    """A path that names nothing is 404, and is never redirected to another."""
    request = head(method.encode(), folder + name, (b"Content-Length", b"0"))
    answer = ask_raw(served.port, request, method=method)
    found = (200, 204) if method == "OPTIONS" or folder == b"/" else ()
    check(answer, *found, 400, 404, 405, by_server=True)


# -------------------------------------------------------------------------------- ids


@pytest.fixture(scope="module")
def ended(served):
    """A run that has ended; what it was asked for does not matter."""
    return ask(served.base_url, "/feeds/one", params={"format": "json"}).json()["run"]


def resumed(served, path, id, by):
    """Ask for a stream with an id, in the header or in the query."""
    if by == "header":
        return ask_raw(served.port, head(b"GET", path, (b"Last-Event-ID", id)))
    return ask_raw(served.port, head(b"GET", path + b"?last_event_id=" + quote(id).encode()))


ways = st.sampled_from(["header", "query"])


@given(id=lines, by=ways)
@bounded
def test_an_id_of_any_bytes_on_a_feed(served, id, by):
    """It gets a run of its own after a `reset`, is too long, or is as none; it is never echoed."""
    answer = resumed(served, b"/feeds/one", id, by)
    check(answer, 200, 400, by_server=by == "header")
    if answer.status == 200:
        pairs, ids = events(answer)
        names = [name for name, _ in pairs]
        assert names[-3:] == ["start", "result", "done"]
        assert names[:-3] in ([], ["reset"])
        assert {id.rpartition("-")[0] for id in ids} - {""} == {pairs[-3][1]["run"]}


@given(id=lines, by=ways)
@bounded
def test_an_id_of_any_bytes_on_a_run(served, ended, id, by):
    """It is answered with all of the run, as no place of it is named."""
    answer = resumed(served, f"/runs/{ended}".encode(), id, by)
    check(answer, 200, 400, by_server=by == "header")
    if answer.status == 200:
        assert events(answer)[0][-1][0] == "done"


@given(id=lines.filter(lambda id: id.strip(b" \t")), by=ways)
@bounded
def test_an_id_of_any_bytes_buys_nothing(served, upstreams, id, by):
    """What must not be called twice is never called for an id that names no place."""
    before = len(upstreams.requests)
    answer = resumed(served, b"/feeds/bought", id, by)
    check(answer, 400, 410, 422, by_server=by == "header")
    assert len(upstreams.requests) == before


# ---------------------------------------------------------------------------- headers


@given(
    fields=st.lists(
        st.tuples(
            st.sampled_from(
                b"Accept Accept-Encoding Authorization Content-Type Cookie Expect Forwarded Host"
                b" If-Modified-Since If-None-Match If-Range Origin Range Remote-Addr Sec-Fetch-Site"
                b" TE Upgrade X-Forwarded-For X-Forwarded-Host X-Forwarded-Prefix"
                b" X-Forwarded-Proto".split()
            ),
            lines,
        ),
        max_size=4,
        unique_by=lambda field: field[0],
    ),
    path=st.sampled_from([b"/feeds/one", b"/feeds/one?format=json", b"/static/app.js", b"/feeds"]),
)
@settings(bounded, max_examples=400)
def test_headers_of_any_bytes(served, fields, path):
    """Nothing that a header can say is an error of the server."""
    answer = ask_raw(served.port, head(b"GET", path, *fields))
    check(answer, 200, 206, 304, 400, 403, 406, 416, by_server=True)


@pytest.mark.parametrize("host", [b"..", b"a..b", b".a", b"x" * 64 + b".example"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_a_host_that_cannot_be_is_400(served, method, host):
    """What no name of a host can be is refused, as a mistake of who asks."""
    request = head(method.encode(), b"/feeds/one", (b"Host", host), (b"Content-Length", b"0"))
    check(ask_raw(served.port, request, method=method), 400)


@pytest.mark.parametrize(("path", "host"), [(b"/none", b"a"), (b"/feeds/one", b"a..b")])
def test_a_websocket_is_nowhere(served, path, host):
    """Who asks for one is refused in HTTP, whichever server takes it for a request."""
    fields = [
        (b"Sec-WebSocket-Key", b"AAAAAAAAAAAAAAAAAAAAAA=="),
        (b"Sec-WebSocket-Version", b"13"),
    ]
    request = head(b"GET", path, (b"Upgrade", b"websocket"), (b"Host", host), *fields)
    request = request.replace(b"Connection: close", b"Connection: Upgrade")
    check(ask_raw(served.port, request), 400, 404)


@pytest.mark.parametrize("body", [b"zz\r\n{}\r\n0\r\n\r\n", b"-1\r\n{}", b"2\r\n{}x\r\n0\r\n\r\n"])
def test_a_body_that_is_not_framed_is_400(served, body):
    """A chunk that is none is told, by the server or by the application."""
    fields = [(b"Content-Type", b"application/json"), (b"Transfer-Encoding", b"chunked")]
    answer = ask_raw(served.port, head(b"POST", b"/feeds/one", *fields) + body, method="POST")
    check(answer, 400, by_server=True)


@given(garbage=st.binary(min_size=1, max_size=200).filter(lambda data: data.strip()))
@bounded
def test_garbage_instead_of_http(served, garbage):
    """What is no request is refused, and the next client is answered."""
    answer = ask_raw(served.port, b"\x80" + garbage + b"\r\n\r\n")
    assert answer.status in (400, 501, 505)
    assert ask(served.base_url, "/healthz").status_code == 200
