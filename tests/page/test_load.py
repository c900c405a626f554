"""100 upstreams and 10,000 chunks on the page: all of it is there in the end, and no more of it.

How long the page works for that is measured by `python -m benchmarks page`.
"""

from collections.abc import Iterator

import pytest
from playwright.sync_api import BrowserContext, expect

from tests.browser import FeedPage
from tests.page.fast_upstream import CHUNKS, LOAD, UPSTREAMS, WORDS, FastUpstream
from tests.page.measured_page import MeasuredPage
from tests.serving import Served, serving

# Elements of the page: of each of 100 upstreams one for each line, and some forty for the rest.
MAX_ELEMENTS = CHUNKS + 60 * UPSTREAMS

SHOWN_LINES = "document.querySelectorAll('.run:not([hidden]) [data-part=stream] > span').length"


@pytest.fixture
def upstream() -> Iterator[FastUpstream]:
    with FastUpstream() as upstream:
        yield upstream


@pytest.fixture(params=["quart", "flask"])
def served(request, tmp_path, browser, upstream) -> Iterator[Served]:
    env = {"UPSTREAMS": upstream.base_url}
    with serving(request.param, LOAD, folder=tmp_path, env=env) as served:
        yield served


@pytest.fixture
def context(browser) -> Iterator[BrowserContext]:
    with browser.new_context() as context:
        yield context


@pytest.fixture
def page(context, served) -> FeedPage:
    return MeasuredPage(context, served.base_url)


def check_lines(page: FeedPage) -> None:
    """See that all lines of all upstreams stand there, and that all have answered."""
    page.wait_end("finished")
    expect(page.part("count")).to_have_text(f"{UPSTREAMS} of {UPSTREAMS}")
    page.page.wait_for_function(f"() => {SHOWN_LINES} >= {CHUNKS}")
    assert page.page.evaluate(SHOWN_LINES) == CHUNKS
    notes = page.run.locator(".card [data-part=note]").all_text_contents()
    assert sum("100 chunks" in note for note in notes) == UPSTREAMS


def test_every_upstream_is_shown(page):
    """Each of 100 upstreams has its row, its bar and its card with its answer."""
    page.start("many")
    page.wait_end("finished")
    expect(page.part("count")).to_have_text(f"{UPSTREAMS} of {UPSTREAMS}")
    rows = page.part("names").locator("[data-state=result]")
    expect(rows).to_have_count(UPSTREAMS)
    expect(page.run.locator(".card [data-part=body]:visible")).to_have_count(UPSTREAMS)
    bodies = page.run.locator(".card [data-part=body]").all_text_contents()
    assert sum("temperature" in body for body in bodies) == UPSTREAMS


def test_every_token_is_shown(page):
    """10,000 tokens are one text, in which none is missing."""
    page.start("tokens")
    page.wait_end("finished")
    stream = page.card("answer", "stream")
    expect(stream).to_contain_text(WORDS[-1].strip())
    assert (stream.text_content() or "").split() == "".join(WORDS).split()


def test_every_line_is_shown(page, upstream):
    """10,000 lines of 100 upstreams at once stand there, each once."""
    upstream.is_released.set()
    page.start("lines")
    check_lines(page)


def test_elements_are_bounded(page, upstream):
    """No chunk leaves more behind than the line that shows it."""
    upstream.is_released.set()
    page.start("lines")
    check_lines(page)
    assert page.page.evaluate("document.querySelectorAll('*').length") < MAX_ELEMENTS


def test_replay_shows_every_line(page, upstream):
    """The run that has ended is shown whole to who reloads the page."""
    upstream.is_released.set()
    page.start("lines")
    page.wait_end("finished")
    page.page.reload()
    check_lines(page)


def test_second_tab_is_told_every_line(page, context, served, upstream):
    """A tab that comes when all was said is told it by the first, and has it whole."""
    page.start("lines")
    page.page.wait_for_function(f"() => {SHOWN_LINES} >= {CHUNKS}")
    second = MeasuredPage(context, served.base_url)
    second.follow(page.run_id)
    expect(second.part("connection")).to_contain_text("read by another tab")
    upstream.is_released.set()
    check_lines(second)
    check_lines(page)


def test_big_body_is_shown(page):
    """Of an answer of 1 MiB the members are counted, and shown when they are asked for."""
    page.start("big")
    page.wait_end("finished")
    body = page.card("big", "body")
    body.locator("summary").first.click()
    expect(body.locator("button")).to_contain_text("more")
    expect(body.locator(":scope > details > ul > li")).to_have_count(200)
