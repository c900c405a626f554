"""Several tabs of a browser on one run: they hold one connection, and each shows all of the run."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import BrowserContext, Page, Request, expect

from tests.browser import FeedPage
from tests.upstream_words import SSE, token

CONFIG = """
[server]
retry_ms = 100

[feeds.answer]
linger = 60.0
upstreams.tokens = { url = "${UPSTREAMS}/tokens", read = "sse", retries = 0 }
"""

_POLLS = 400
_POLL_MS = 25

WITHOUT_LOCKS = "Object.defineProperty(Navigator.prototype, 'locks', { value: undefined });"


class Tabs:
    """The tabs of a context, and the streams that they hold open.

    Attributes:
        streams: Requests for a run whose answers have not ended.
    """

    def __init__(self, context: BrowserContext, base_url: str) -> None:
        self._context = context
        self._base_url = base_url
        self.streams: list[Request] = []
        context.on("request", self._begin)
        context.on("requestfinished", self._end)
        context.on("requestfailed", self._end)

    def open(self, run: str = "") -> FeedPage:
        """Open a tab, on a run or on none."""
        tab = FeedPage(self._context.new_page(), self._base_url)
        if run:
            tab.follow(run)
            tab.wait_connection("open")
        return tab

    @property
    def holders(self) -> list[Page]:
        """The tabs that hold a connection; of one that is closed nobody says that it has ended."""
        pages = [request.frame.page for request in self.streams]
        return [page for page in pages if not page.is_closed()]

    def wait_one_holder(self, tab: FeedPage) -> None:
        """Wait until a tab is the only one that holds a connection."""
        for _ in range(_POLLS):
            if self.holders == [tab.page]:
                return
            tab.page.wait_for_timeout(_POLL_MS)
        raise AssertionError(f"{len(self.holders)} connections")

    def _begin(self, request: Request) -> None:
        if "/runs/" in request.url and request.method == "GET":
            self.streams.append(request)

    def _end(self, request: Request) -> None:
        if request in self.streams:
            self.streams.remove(request)


@pytest.fixture
def config() -> str:
    return CONFIG


@pytest.fixture
def tabs(browser, served) -> Iterator[Tabs]:
    with browser.new_context() as context:
        yield Tabs(context, served.base_url)


@pytest.fixture
def say(upstreams) -> Callable[[str], None]:
    """Have the upstream say a word."""
    upstreams.begin("tokens", content_type=SSE)

    def say(word: str) -> None:
        upstreams.send("tokens", token(word))

    return say


@pytest.fixture
def first(tabs, say) -> FeedPage:
    """A tab that has begun a run, and shows `one `."""
    tab = tabs.open()
    tab.start("answer")
    say("one ")
    wait_text("one ", tab)
    return tab


@pytest.fixture
def second(tabs, first) -> FeedPage:
    """A tab that has come to that run later, and is told by the first."""
    tab = tabs.open(first.run_id)
    expect(tab.part("connection")).to_contain_text("read by another tab")
    return tab


def wait_text(text: str, *tabs: FeedPage) -> None:
    """Wait until tabs show a text, and nothing else."""
    for tab in tabs:
        expect(tab.card("tokens", "stream")).to_have_text(text)


def test_tabs_hold_one_connection(tabs, first, second):
    """Two tabs that follow a run hold one connection, which is the first tab's."""
    tabs.wait_one_holder(first)


def test_late_tab_has_all_of_it(first, second, say):
    """A tab that comes later shows what was said before, and what is said then, once."""
    wait_text("one ", second)
    say("two ")
    wait_text("one two ", first, second)


def test_next_tab_goes_on(tabs, first, second, say, upstreams):
    """When the tab that reads is closed the other reads, with nothing lost or repeated."""
    first.page.close()
    say("two ")
    wait_text("one two ", second)
    tabs.wait_one_holder(second)
    expect(second.part("connection")).not_to_contain_text("another tab")
    assert upstreams.targets["tokens"] == 1


def test_one_after_the_other_goes_on(tabs, first, second, say):
    """Of three tabs each reads once those before it are closed, and the third has it all."""
    third = tabs.open(first.run_id)
    first.page.close()
    say("two ")
    wait_text("one two ", second, third)
    second.page.close()
    say("three ")
    wait_text("one two three ", third)


def test_reload_of_the_reader_loses_nothing(first, second, say):
    """When the tab that reads is loaded again, both have the run whole."""
    first.page.reload()
    say("two ")
    wait_text("one two ", first, second)


def test_cut_in_another_tab(first, second, say):
    """Cut in the tab that does not read loses the connection of the one that does."""
    second.press("cut")
    expect(first.part("connection")).to_contain_text("reconnected 1")
    expect(second.part("connection")).to_contain_text("reconnected 1")
    say("two ")
    wait_text("one two ", first, second)


@pytest.mark.parametrize("which", [0, 1], ids=["that reads", "that is told"])
def test_stop_ends_it_in_all_tabs(first, second, which):
    """Stop in one tab ends the run for all, and each of them says so."""
    (first, second)[which].press("stop")
    for tab in (first, second):
        tab.wait_end("stopped")
        expect(tab.part("total")).to_contain_text("1 cancelled")


def test_all_tabs_say_the_end(first, second, upstreams):
    """A run that finishes has finished in all tabs, with the same count."""
    upstreams.end("tokens")
    for tab in (first, second):
        tab.wait_end("finished")
        expect(tab.part("count")).to_have_text("1 of 1")


def test_list_of_runs_is_shared(tabs, first):
    """A run that one tab begins is on the list of the others, from which it can be looked at."""
    other = tabs.open()
    first.press("stop")
    first.press("again")
    expect(other.page.locator("#runs a")).to_have_count(2)
    expect(first.run).not_to_have_attribute("data-state", "ended")
    other.page.locator(f"#runs a[href='#{first.run_id}']").click()
    assert other.run_id == first.run_id


def test_without_locks_each_tab_reads(browser, served, say):
    """Where the browser has no Web Locks, each tab reads for itself and has all of it."""
    with browser.new_context() as context:
        context.add_init_script(WITHOUT_LOCKS)
        tabs = Tabs(context, served.base_url)
        first = tabs.open()
        first.start("answer")
        say("one ")
        wait_text("one ", first)
        second = tabs.open(first.run_id)
        say("two ")
        wait_text("one two ", first, second)
        assert tabs.holders == [first.page, second.page]
