"""The page in a real browser, on both applications and their default servers.

Its upstreams answer only when a test lets them: what is on the page by then has been pushed, one
answer at a time.
"""

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.browser import FeedPage, chromium
from tests.gated_upstream import GatedUpstream
from tests.relay import Relay
from tests.serving import Served, serving
from tests.viewing import ask

CONFIG = """
[server]
retry_ms = 100

[feeds.three]
title = "<b>Three</b><script>window.hurt = 1</script>"
upstreams.one = { url = "${UPSTREAMS}/one", retries = 0 }
upstreams.two = { url = "${UPSTREAMS}/two", retries = 0 }
upstreams.three = { url = "${UPSTREAMS}/three", retries = 0 }

[feeds.flaky]
upstreams.rates = { url = "${UPSTREAMS}/rates", retries = 1, backoff = 0.01 }

[feeds.answer]
upstreams.tokens = { url = "${UPSTREAMS}/tokens", read = "sse", retries = 0 }

[feeds.said]
params.what = { label = "<i>What</i>" }
params.n = { pattern = '\\d+', default = "1" }
upstreams.whole = { url = "${UPSTREAMS}/whole?what={what}&n={n}", read = "text", retries = 0 }
upstreams.lines = { url = "${UPSTREAMS}/lines", read = "lines", retries = 0 }
upstreams.events = { url = "${UPSTREAMS}/events", read = "sse", retries = 0 }
"""

HURTFUL = (
    "</pre><script>window.hurt = 1</script><img src=x onerror='window.hurt = 1'>"
    "<a href='javascript:window.hurt = 1'>x</a>"
)

# The listener added last hears of the error last.
INSERT_HURTFUL = """() => new Promise((resolve) => {
  document.body.insertAdjacentHTML('beforeend', '<img src="x" onerror="window.hurt = 1">');
  document.querySelector('img').addEventListener('error', () => resolve());
})"""

SSE = "text/event-stream"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def gates() -> Iterator[GatedUpstream]:
    with GatedUpstream() as gates:
        yield gates


@pytest.fixture(scope="module", params=["quart", "flask"])
def served(request, tmp_path_factory, browser, gates) -> Iterator[Served]:
    """An application; the browser is asked for before, as without one nothing need be started."""
    folder = tmp_path_factory.mktemp(request.param)
    with serving(request.param, CONFIG, folder=folder, env={"UPSTREAMS": gates.base_url}) as served:
        yield served
        assert "ERROR" not in served.log()
        assert "Traceback" not in served.log()


@pytest.fixture
def upstreams(gates) -> Iterator[GatedUpstream]:
    """The gates, of which each test finds and leaves none called."""
    yield gates
    gates.reset()


@pytest.fixture
def relay(served) -> Iterator[Relay]:
    with Relay(served.port) as relay:
        yield relay


@pytest.fixture
def page(browser, relay, upstreams) -> Iterator[FeedPage]:
    """The page, whose scripts must raise nothing, and whose network can be cut."""
    with browser.new_context() as context:
        page = FeedPage(context.new_page(), relay.base_url)
        yield page
        assert page.faults == []


def token(text: str) -> bytes:
    """An event of a chat completion."""
    return b"data: %b\n\n" % json.dumps({"choices": [{"delta": {"content": text}}]}).encode()


# ------------------------------------------------------------------------ arrival


def test_answers_arrive_one_by_one(page, upstreams):
    """Each answer is on the page before the next upstream has given its own."""
    page.start("three")
    for done, name in enumerate(["two", "three", "one"], 1):
        page.wait_row(name, "waiting")
        upstreams.answer(name, json.dumps({"from": name}))
        page.wait_row(name, "result")
        expect(page.row(name)).to_have_attribute("data-done", str(done))
        expect(page.part(name, "body")).to_contain_text(f'"from": "{name}"')
        assert list(page.states.values()).count("waiting") == 3 - done
    page.wait_end("finished")


def test_progress_is_counted_and_read_out(page, upstreams):
    """The count, the bar, and the words for who does not see them follow each outcome."""
    page.start("three")
    upstreams.answer("two", "1")
    page.wait_row("two", "result")
    expect(page.page.locator("#progress")).to_have_attribute("data-done", "1")
    expect(page.page.locator("#progress")).to_have_attribute("data-of", "3")
    expect(page.page.locator("#count")).to_have_text("1 of 3")
    expect(page.page.locator("#arrivals")).to_contain_text("two answered, 1 of 3")


def test_value_is_shown_as_it_came(page, upstreams):
    """Integers that JavaScript would round, and keys that it would sort, stay as they were."""
    page.start("three")
    upstreams.answer("one", '{"b":12345678901234567890,"1":1.5}')
    expect(page.part("one", "body")).to_have_text('{\n  "b": 12345678901234567890,\n  "1": 1.5\n}')


def test_one_failure_disturbs_nobody(page, upstreams):
    """A failed row says why, while another still waits, and its answer then comes."""
    page.start("three")
    upstreams.answer("one", "no", status=404)
    page.wait_row("one", "failure")
    expect(page.row("one")).to_have_attribute("data-code", "status")
    expect(page.part("one", "error")).to_contain_text("404")
    upstreams.answer("two", "2")
    page.wait_row("two", "result")
    upstreams.answer("three", "3")
    expect(page.page.locator("#total")).to_contain_text("finished: 2 ok, 1 failed")


def test_retry_is_shown(page, upstreams):
    """After a failed try the row says so and goes on, until the next try succeeds."""
    page.start("flaky")
    upstreams.answer("rates", "busy", status=503)
    page.wait_row("rates", "retrying")
    expect(page.part("rates", "note")).to_contain_text("try 1 failed (status 503)")
    upstreams.answer("rates", "1.5")
    page.wait_row("rates", "result")
    expect(page.part("rates", "note")).to_contain_text("2 tries")


def test_tokens_are_typed_out(page, upstreams):
    """Each token stands on the page before the next is sent, as one text."""
    page.start("answer")
    upstreams.begin("tokens", content_type=SSE)
    text = ""
    for word in ("A", " stream", " of", "\nwords"):
        text += word
        upstreams.send("tokens", token(word))
        expect(page.part("tokens", "stream")).to_have_js_property("innerText", text)
        page.wait_row("tokens", "streaming")
    upstreams.send("tokens", b"data: [DONE]\n\n")
    page.wait_row("tokens", "result")
    expect(page.part("tokens", "note")).to_contain_text("4 chunks")


# --------------------------------------------------------------- files and the form


@pytest.mark.parametrize("path", ["/", "/static/app.js", "/static/style.css"])
def test_files_are_asked_for_again(served, path):
    """No file of the page is used unasked, so that after an update none of another version is."""
    answer = ask(served.base_url, path)
    assert answer.status_code == 200
    assert "no-cache" in answer.headers["Cache-Control"]
    assert "max-age" not in answer.headers["Cache-Control"]
    assert "Expires" not in answer.headers


def test_stop_ends_the_run(page, upstreams):
    """What was there stays, what was under way is cancelled, and the next run can start."""
    page.start("three")
    upstreams.answer("one", "1")
    page.wait_row("one", "result")
    page.stop()
    page.wait_end("stopped")
    assert page.states == {"one": "result", "two": "cancelled", "three": "cancelled"}
    first = page.run
    page.start("three")
    upstreams.wait_target("one", 2)
    page.wait_row("one", "waiting")
    assert page.run != first


def test_parameters_reach_the_upstream(page, upstreams):
    """What the form holds is what the run has."""
    page.start("said", what="é &?#+", n="007")
    page.wait_row("whole", "waiting")
    upstreams.wait_target("whole?what=%C3%A9%20%26%3F%23%2B&n=007")


def test_refusal_names_the_parameter(page):
    """A value that the server refuses is marked at its field, and nothing has begun."""
    page.start("said", what="x", n="one")
    page.wait_end("refused")
    expect(page.page.locator("#notice")).to_contain_text("'n'")
    assert page.page.eval_on_selector("[data-param=n]", "it => it.matches(':invalid')")
    expect(page.page.locator(".row")).to_have_count(0)


# ------------------------------------------------------------------- a bad network


def test_cut_connection_resumes_without_repeats(page, relay, upstreams):
    """After a cut the same run goes on, with every token once, and no upstream called again."""
    page.start("answer")
    upstreams.begin("tokens", content_type=SSE)
    upstreams.send("tokens", token("before, "))
    expect(page.part("tokens", "stream")).to_have_text("before, ")
    run = page.run
    with relay.cut():
        page.wait_state("reconnecting")
        upstreams.send("tokens", token("while, "))
    page.wait_state("open")
    upstreams.send("tokens", token("after"))
    expect(page.part("tokens", "stream")).to_have_text("before, while, after")
    upstreams.end("tokens")
    page.wait_end("finished")
    assert (page.run, upstreams.targets["tokens"]) == (run, 1)


# ----------------------------------------------------------------------- injection


def test_markup_is_text(page, upstreams):
    """Markup in parameters, bodies, chunks, types, titles and labels is shown and does nothing."""
    page.start("said", what=HURTFUL)
    upstreams.answer("whole", HURTFUL, content_type=f"text/plain; {HURTFUL}")
    upstreams.answer("lines", f"{HURTFUL}\n", content_type="text/plain")
    upstreams.answer("events", f"event: {HURTFUL}\ndata: {HURTFUL}\n\n", content_type=SSE)
    page.wait_end("finished")
    expect(page.part("whole", "body")).to_have_text(HURTFUL)
    expect(page.part("lines", "stream")).to_have_text(HURTFUL)
    expect(page.part("events", "stream")).to_have_text(f"{HURTFUL}: {HURTFUL}")
    assert page.page.locator("main :is(script, img, a, b, i)").count() == 0
    assert page.page.evaluate("window.hurt") is None


def test_markup_in_a_refusal_is_text(page):
    """Nor does it anything in what the server says of a value."""
    page.start("said", what="x", n=HURTFUL)
    page.wait_end("refused")
    assert page.page.locator("main :is(script, img, a, b, i)").count() == 0
    assert page.page.evaluate("window.hurt") is None


def test_foreign_scripts_are_refused(page):
    """Would markup ever get through, the browser would still run none of it."""
    with page.page.expect_console_message(lambda it: "Content Security Policy" in it.text):
        page.page.evaluate(INSERT_HURTFUL)
    assert page.page.evaluate("window.hurt") is None
    assert len(page.faults) == 1
    page.faults.clear()
