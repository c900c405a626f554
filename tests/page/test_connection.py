"""The connection: how it stands is always said, and nothing is lost or repeated when it breaks."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser import written
from tests.page.conftest import CONFIG
from tests.upstream_words import SSE, token
from tests.viewing import ask, eventually, watching

# Beats come so soon that three which are missing are soon noticed.
BEATING = CONFIG.replace("[server]", "[server]\nping_interval = 0.5")

RUN = "0" * 32

FULL = """
[server]
retry_ms = 100
max_streams = 1
max_runs = 2

[feeds.answer]
upstreams.tokens = { url = "${UPSTREAMS}/tokens", read = "sse", retries = 0 }
"""


SHORT = """
[log]
max_events = 10

[feeds.lines]
upstreams.lines = { url = "${UPSTREAMS}/lines", read = "lines", retries = 0 }
"""


@pytest.fixture
def config(request):
    """What is served; a test's mark may say otherwise."""
    return getattr(request, "param", CONFIG)


@pytest.fixture
def stream(page, upstreams):
    """A run that has said a word and goes on; gives a function that has it say more."""
    page.begin("answer")
    upstreams.begin("tokens", content_type=SSE)
    upstreams.send("tokens", token("before, "))
    expect(page.card("tokens", "stream")).to_have_text("before, ")
    page.wait_connection("open")

    def say(word):
        upstreams.send("tokens", token(word))

    return say


def wait_whole(page, upstreams, text):
    """End the stream, and hold the page to each word once and the upstream to one call."""
    expect(page.card("tokens", "stream")).to_have_text(text)
    upstreams.end("tokens")
    page.wait_end("finished")
    expect(page.card("tokens", "stream")).to_have_text(text)
    assert upstreams.targets["tokens"] == 1


def test_states_are_always_said(page, upstreams, stream):
    """From the first request to the end there is a word for how the connection stands."""
    upstreams.end("tokens")
    page.wait_end("finished")
    assert [*dict.fromkeys(page.connections)] == ["connecting", "open", "ended"]
    expect(page.part("connection")).to_be_visible()
    expect(page.part("cut")).to_have_attribute("aria-disabled", "true")


def test_cut_button_loses_the_connection(page, upstreams, stream):
    """Pressing it is a broken network: the run is resumed, and how often is counted."""
    for count in (1, 2):
        page.press("cut")
        expect(page.part("connection")).to_contain_text(
            f"reconnected {count}\N{MULTIPLICATION SIGN}"
        )
        page.wait_connection("open")
        stream(f"{count}, ")
    said = [re.split(",", each)[0] for each in page.connections]
    assert [*dict.fromkeys(said)] == ["connecting", "open", "resuming"]
    wait_whole(page, upstreams, "before, 1, 2, ")


def test_wait_for_the_next_try_is_said(page, relay, stream):
    """While the network is away, so is the time until the next try on the page."""
    with relay.cut():
        page.wait_connection("resuming")
        page.wait_said("resuming, next try in ")


def test_cut_network_is_resumed_without_repeats(page, relay, upstreams, stream):
    """After a cut the same run goes on, with every token once, and no upstream called again."""
    run = page.run_id
    with relay.cut():
        page.wait_connection("resuming")
        stream("while, ")
    page.wait_connection("open")
    stream("after")
    wait_whole(page, upstreams, "before, while, after")
    assert page.run_id == run


def test_end_that_was_missed_is_caught_up(page, relay, upstreams, stream, served):
    """A run that ended while the network was away is whole when it is back."""
    with relay.cut():
        page.wait_connection("resuming")
        stream("while")
        upstreams.end("tokens")
        path = f"/runs/{page.run_id}?format=json"
        eventually(lambda: ask(served.base_url, path).json()["done"])
    page.wait_end("finished")
    expect(page.card("tokens", "stream")).to_have_text("before, while")


@pytest.mark.parametrize("config", [BEATING], indirect=True, ids=["beating"])
def test_silence_is_noticed(page, relay, upstreams, stream):
    """A network that carries nothing more and closes nothing is stale, and then resumed."""
    with relay.freeze():
        page.wait_said("stale")
        stream("while, ")
    page.wait_connection("open")
    stream("after")
    wait_whole(page, upstreams, "before, while, after")


@pytest.mark.parametrize("config", [BEATING], indirect=True, ids=["beating"])
def test_beats_are_no_silence(page, stream):
    """A run that says nothing for some beats is still open."""
    time = page.part("names").locator("[data-part=time]")
    expect(time).to_have_text(re.compile(r"^[2-9]\.[0-9]+ s$"))
    assert not any(said.startswith("stale") for said in page.connections)
    page.wait_connection("open")


def test_nothing_is_asked_after_the_end(page, upstreams, stream):
    """Who has read `done` never comes back."""
    asked = page.count_requests()
    upstreams.end("tokens")
    page.wait_end("finished")
    page.page.wait_for_timeout(1500)
    assert asked == []


def test_nothing_is_asked_after_204(page, stream):
    """Who is told that nothing more comes never comes back, and says so."""
    page.page.route("**/runs/*", lambda route: route.fulfill(status=204))
    page.press("cut")
    page.wait_end("gone")
    asked = page.count_requests()
    page.page.wait_for_timeout(1500)
    assert asked == []
    expect(page.part("notice")).to_contain_text("Nothing more comes")


def test_reset_in_mid_stream_shows_all_anew(open_page):
    """Of what came before nothing is left, also where it was not drawn yet."""
    page = open_page()
    start = ("start", {"at": 0.0, "feed": "one", "upstreams": ["one"], "params": {}})
    before, after = (
        ("chunk", {"at": 0.1, "upstream": "one", "data": data}) for data in ("before", "after")
    )
    said = {"at": 0.2, "upstream": "one", "elapsed": 0.2, "first_byte": 0.1, "attempts": 1}
    result = ("result", {**said, "status": 200, "chunks": 2, "done": 1, "of": 1})
    counts = {"ok": 1, "failed": 0, "cancelled": 0}
    done = ("done", {"at": 0.2, "elapsed": 0.2, "reason": "finished", **counts})
    events = [start, before, ("reset", {"reason": "trimmed"}), start, after, result, done]
    body = "".join(
        f"event: {name}\ndata: {written(data)}\n"
        + ("\n" if name == "reset" else f"id: {RUN}-{n}\n\n")
        for n, (name, data) in enumerate(events, start=1)
    )
    page.page.route("**/runs/*", lambda route: route.fulfill(content_type=SSE, body=body))
    page.follow(RUN)
    page.wait_end("finished")
    expect(page.card("one", "stream")).to_have_text("after")
    expect(page.run.locator(".card")).to_have_count(1)
    expect(page.line("one", "path.shape.result")).to_have_count(1)
    expect(page.part("notice")).to_contain_text("no longer held")


def test_nothing_is_asked_after_404(open_page):
    """A run that the server does not know is lost, and not asked for again."""
    page = open_page(f"/#{RUN}")
    page.wait_end("lost")
    asked = page.count_requests()
    page.page.wait_for_timeout(1500)
    assert asked == []
    expect(page.part("notice")).to_contain_text("lost")


def test_run_that_ends_on_the_server_is_not_lost(page, stream, served):
    """A stop by somebody else comes as the run's end."""
    ask(served.base_url, f"/runs/{page.run_id}", method="DELETE")
    page.wait_end("stopped")
    expect(page.part("total")).to_contain_text("stopped: 0 ok, 1 cancelled")


def test_stop_that_does_not_get_through_is_said(page, relay, stream):
    """Where the network is away the run goes on, and the page says that it was not stopped."""
    with relay.cut():
        page.wait_connection("resuming")
        page.press("stop")
        expect(page.part("notice")).to_contain_text("could not be stopped")
    page.wait_connection("open")


@pytest.mark.parametrize("config", [FULL], indirect=True, ids=["full"])
def test_full_server_is_waited_for(page, upstreams, served):
    """Where there is no room for a stream the page says so, waits, and comes back by itself."""
    run = ask(served.base_url, "/feeds/answer", method="POST", json={}).json()["run"]
    with watching(served.base_url, f"/runs/{run}"):
        page.begin("answer")
        page.wait_said("resuming, ")
        expect(page.part("connection")).to_contain_text(re.compile("stream|try"))
    page.wait_connection("open")
    end_runs(served, run, page.run_id)
    page.wait_end("stopped")


@pytest.mark.parametrize("config", [FULL], indirect=True, ids=["full"])
def test_refused_start_is_said(page, served):
    """Where there is no room for a run, nothing has begun, and Start can be pressed again."""
    asked = [ask(served.base_url, "/feeds/answer", method="POST", json={}) for _ in range(2)]
    page.start("answer")
    expect(page.page.get_by_role("alert").first).to_contain_text("Not possible")
    expect(page.page.locator(".run")).to_have_count(0)
    end_runs(served, *(each.json()["run"] for each in asked))
    page.begin("answer")
    end_runs(served, page.run_id)


@pytest.mark.parametrize("config", [SHORT], indirect=True, ids=["short"])
def test_what_is_missing_is_said(page, upstreams):
    """Where a log no longer holds the oldest pieces the page says so, also after the end."""
    page.begin("lines")
    upstreams.answer("lines", "a line\n" * 50, content_type="text/plain")
    page.wait_end("finished")
    page.reload()
    page.wait_end("finished")
    expect(page.part("notice")).to_contain_text("no longer held")


def end_runs(served, *runs):
    for run in runs:
        ask(served.base_url, f"/runs/{run}", method="DELETE")


def test_feeds_that_cannot_be_loaded_are_missed(open_page, browser, relay):
    """Without its list of feeds the page says so, and how to go on."""
    with browser.new_context() as context:
        tab = context.new_page()
        tab.route("**/feeds", lambda route: route.abort())
        tab.goto(relay.base_url)
        expect(tab.locator("#notice")).to_contain_text("Reload to try again")
