"""The page for people with a keyboard or a screen reader, or who want nothing to move."""

import json
from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, expect

from tests.browser import FeedPage
from tests.gated_upstream import GatedUpstream

APPS = ["quart"]

CONFIG = """
[server]
retry_ms = 100

[feeds.several]
title = "Several upstreams"
params.city = { label = "Which city?", default = "Oslo", pattern = '[^\\d]+' }
upstreams.tree = { url = "${UPSTREAMS}/tree", retries = 0 }
upstreams.fails = { url = "${UPSTREAMS}/fails", retries = 0 }
upstreams.lines = { url = "${UPSTREAMS}/lines", read = "lines", retries = 0 }
upstreams.slow = { url = "${UPSTREAMS}/slow", retries = 0 }
"""

TREE = json.dumps({"folded": ["a long text " * 100], "number": 1.5, "word": None})
LOOKS = [(scheme, width) for scheme in ("light", "dark") for width in (1280, 390)]

# Cards out of sight too are looked at.
SHOW_ALL = """() => {
  for (const card of document.querySelectorAll('.card')) card.style.contentVisibility = 'visible';
}"""

# Unseen texts and what scrolls by itself need no room.
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
FOCUS = """() => {
  const { id, dataset, name, tagName } = document.activeElement;
  return id || name || dataset.part || tagName.toLowerCase();
}"""
RUNNING = "document.getAnimations().filter((it) => it.playState === 'running').length"


@pytest.fixture
def config() -> str:
    return CONFIG


@pytest.fixture
def context(browser, upstreams) -> Iterator[BrowserContext]:
    with browser.new_context() as context:
        yield context


@pytest.fixture
def page(context, served) -> FeedPage:
    return FeedPage(context.new_page(), served.base_url)


@pytest.fixture(params=LOOKS, ids=lambda look: f"{look[0]}-{look[1]}")
def look(request, page) -> FeedPage:
    """The page in light and dark, wide and narrow."""
    scheme, width = request.param
    page.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    page.page.set_viewport_size({"width": width, "height": 844})
    return page


def begin_run(page: FeedPage, upstreams: GatedUpstream) -> None:
    """Start a run of which all but `slow` has come."""
    page.start("several")
    upstreams.answer("tree", TREE)
    page.wait_row("tree", "result")
    upstreams.answer("fails", "no", status=404)
    page.wait_row("fails", "failure")
    upstreams.answer("lines", "first\nsecond\n", content_type="text/plain")
    page.wait_row("lines", "result")


def end_run(page: FeedPage, upstreams: GatedUpstream) -> None:
    """Start a run, and let it finish."""
    begin_run(page, upstreams)
    upstreams.answer("slow", "1")
    page.wait_end("finished")


def check(page: FeedPage) -> None:
    """See that axe-core finds nothing that keeps people from using the page."""
    page.page.evaluate(SHOW_ALL)
    found = Axe().run(page.page)
    assert found.violations_count == 0, found.generate_report()


def focus(page: FeedPage) -> str:
    """What has the focus: its id, name or part."""
    return page.page.evaluate(FOCUS)


def tab_to(page: FeedPage, control: str) -> None:
    """Press Tab until a control has the focus."""
    for _ in range(30):
        if focus(page) == control:
            return
        page.page.keyboard.press("Tab")
    raise AssertionError(f"Tab does not come to {control}")


# ---------------------------------------------------------------------------- axe-core


def test_idle_page(look):
    """Nothing is in the way before a run."""
    check(look)


def test_page_with_a_run(look, upstreams):
    """Nor while a run is under way."""
    begin_run(look, upstreams)
    check(look)


def test_page_with_an_ended_run(look, upstreams):
    """Nor when it has ended, with results and a failure."""
    end_run(look, upstreams)
    check(look)


def test_page_with_a_stopped_run(look, upstreams):
    """Nor when it was stopped, which cancels what is under way."""
    begin_run(look, upstreams)
    look.press("stop")
    look.wait_end("stopped")
    check(look)


def test_page_with_a_raw_body(look, upstreams):
    """Nor where a body is shown as it was written."""
    end_run(look, upstreams)
    look.card("tree", "rawButton").click()
    expect(look.card("tree", "raw")).to_be_visible()
    check(look)


def test_page_after_a_refusal(look):
    """Nor where the server has refused a parameter."""
    look.page.eval_on_selector("[data-param=city]", "it => { it.pattern = '.*'; }")
    look.start("several", city="1")
    expect(look.page.locator("#notice")).to_be_visible()
    check(look)


# ---------------------------------------------------------------------------- keyboard


def test_tab_reaches_every_control_in_order(page, upstreams):
    """Tab goes through the form, the list of runs, the run's buttons and the cards, in turn."""
    begin_run(page, upstreams)
    page.page.locator("#feed").focus()
    order = [focus(page)]
    while (control := _tab(page)) not in {"body", "feed"}:
        order.append(control)
    form = ["feed", "city", "start", "link", "link", "forget"]
    run = ["cut", "stop", "again"]
    cards = ["summary", "summary", "rawButton", "copyButton", "scroller", "rawButton", "copyButton"]
    assert order == [*form, *run, *cards]


def _tab(page: FeedPage) -> str:
    page.page.keyboard.press("Tab")
    return focus(page)


def test_run_is_started_with_the_keyboard(page, upstreams):
    """Enter in a field starts a run."""
    tab_to(page, "city")
    page.page.keyboard.type("Bergen")
    page.page.keyboard.press("Enter")
    upstreams.wait_target("slow")
    expect(page.part("params")).to_contain_text("Bergen")


def test_run_is_cut_stopped_and_run_again_with_the_keyboard(page, upstreams):
    """Each of a run's buttons is pressed with Space or Enter, one after the other."""
    begin_run(page, upstreams)
    first = page.run_id
    tab_to(page, "cut")
    page.page.keyboard.press("Space")
    expect(page.part("connection")).to_contain_text("reconnected 1")
    tab_to(page, "stop")
    page.page.keyboard.press("Enter")
    page.wait_end("stopped")
    tab_to(page, "again")
    page.page.keyboard.press("Enter")
    expect(page.run).not_to_have_attribute("data-run", first)
    for name in ("tree", "fails", "lines", "slow"):  # or the next test would answer these
        upstreams.wait_target(name, 2)


def test_json_is_unfolded_with_the_keyboard(page, upstreams):
    """A body that is folded opens with Enter."""
    begin_run(page, upstreams)
    tab_to(page, "summary")
    folded = page.card("tree", "body").locator("details").first
    was_open = folded.get_attribute("open") is not None
    page.page.keyboard.press("Enter")
    assert (folded.get_attribute("open") is not None) != was_open


@pytest.mark.parametrize("button", ["cut", "stop", "again"])
def test_focus_stays_as_answers_come(page, upstreams, button):
    """A button keeps the focus while answers arrive, the run ends and its buttons change."""
    page.start("several")
    tab_to(page, button)
    upstreams.answer("tree", TREE)
    page.wait_row("tree", "result")
    assert focus(page) == button
    for name in ("fails", "lines", "slow"):
        upstreams.answer(name, "1")
    page.wait_end("finished")
    assert focus(page) == button


@pytest.mark.parametrize("button", ["cut", "stop"])
def test_focus_stays_on_what_was_pressed(page, upstreams, button):
    """A button that was pressed keeps the focus when it has no more to do."""
    begin_run(page, upstreams)
    tab_to(page, button)
    page.page.keyboard.press("Space")
    expect(page.part(button)).to_have_attribute("aria-disabled", "true")
    assert focus(page) == button


def test_focus_stays_on_start(page, upstreams):
    """Start keeps the focus when it has started a run."""
    tab_to(page, "start")
    page.page.keyboard.press("Enter")
    upstreams.wait_target("slow")
    expect(page.part("connection")).to_contain_text("open")
    assert focus(page) == "start"


def test_focus_stays_in_the_list_of_runs(page, upstreams):
    """A link of the list that was followed keeps the focus while its run goes on."""
    begin_run(page, upstreams)
    tab_to(page, "forget")
    page.page.keyboard.press("Shift+Tab")
    page.page.keyboard.press("Enter")
    upstreams.answer("slow", "1")
    page.wait_end("finished")
    assert page.page.evaluate("document.activeElement.closest('#runs') !== null")


# ---------------------------------------------------------------------- motion and room


def test_nothing_moves_where_that_is_asked_for(page, upstreams):
    """With reduced motion no animation runs, also while a connection is made anew."""
    page.page.emulate_media(reduced_motion="reduce")
    begin_run(page, upstreams)
    page.page.context.set_offline(True)
    page.press("cut")
    page.wait_connection("resuming")
    assert page.page.evaluate(RUNNING) == 0


@pytest.mark.parametrize("width", [320, 390, 768])
def test_nothing_is_wider_than_the_window(page, upstreams, width):
    """No state of the page makes it scroll sideways, nor do long names and texts."""
    page.page.set_viewport_size({"width": width, "height": 700})
    assert page.page.evaluate(OVERFLOW) == 0
    end_run(page, upstreams)
    page.card("tree", "rawButton").click()
    assert page.page.evaluate(OVERFLOW) == 0
