"""The form: what a feed declares, what is filled in, and what of it reaches the upstreams."""

import re

from playwright.sync_api import expect

APPS = ["flask"]


def runs_begun(asked):
    """Those of the requests that have made a run."""
    return [each for each in asked if each.startswith("POST")]


def test_fields_are_those_that_the_feed_declares(page):
    """Each parameter has a field in the order of the feed, with its label, or else its name."""
    page.page.select_option("#feed", "typed")
    labels = page.page.locator("#params label span")
    expect(labels).to_have_text(["Which city?", "whole", "ratio", "loud", "needed"])
    expect(page.page.get_by_label("Which city?")).to_have_value("Paris")
    expect(page.page.get_by_label("ratio")).to_have_value("1.5")
    expect(page.page.get_by_role("checkbox", name="loud")).to_be_checked()
    expect(page.page.locator("#calls")).to_have_text("Calls typed.")


def test_feeds_are_listed_by_title(page):
    """A feed is called by its title, and by its name where it has none."""
    options = page.page.locator("#feed option").all_text_contents()
    assert options[:2] == ["Three at once", "flaky"]


def test_feed_without_parameters_has_no_fields(page):
    """Where there is nothing to fill in, there is nothing to see."""
    page.page.select_option("#feed", "typed")
    expect(page.page.locator("#params")).to_be_visible()
    page.page.select_option("#feed", "three")
    expect(page.page.locator("#params")).to_be_hidden()


def test_what_is_required_has_to_be_filled_in(page):
    """Without it the browser marks the field, and asks for nothing."""
    asked = page.count_requests()
    page.start("typed")
    expect(page.field("needed")).to_be_focused()
    assert page.field("needed").evaluate("it => it.validity.valueMissing")
    assert runs_begun(asked) == []


def test_parameters_reach_the_upstream(page, upstreams):
    """What the form holds is what the upstream is asked for."""
    page.start("said", what="é &?#+", n="007")
    upstreams.wait_target("whole?what=%C3%A9%20%26%3F%23%2B&n=007")


def test_numbers_reach_the_upstream_undamaged(page, upstreams):
    """An integer that JavaScript would round is passed on with all its digits."""
    page.start("typed", whole="-98765432109876543210", ratio="2.50", needed="it")
    upstreams.wait_target("typed?Paris&-98765432109876543210&2.5&true&it")


def test_defaults_reach_the_upstream_undamaged(page, upstreams):
    """So is one that is a default which nobody has touched."""
    page.start("typed", needed="it")
    upstreams.wait_target("typed?Paris&12345678901234567890&1.5&true&it")


def test_checkbox_is_a_boolean(page, upstreams):
    """What is not ticked is false."""
    page.page.select_option("#feed", "typed")
    page.field("loud").uncheck()
    page.field("needed").fill("it")
    page.page.click("#start")
    upstreams.wait_target("typed?Paris&12345678901234567890&1.5&false&it")


def test_what_is_emptied_has_its_default(page, upstreams):
    """A field that is left empty is left to the server."""
    page.start("typed", city="", ratio="", needed="it")
    upstreams.wait_target("typed?Paris&12345678901234567890&1.5&true&it")


def test_refusal_marks_the_field(page, upstreams):
    """A value that the server refuses is marked at its field, and nothing has begun."""
    page.start("said", what="x", n="one")
    expect(page.page.get_by_role("alert").first).to_contain_text("'n'")
    expect(page.field("n")).to_have_js_property("validity.customError", True)
    expect(page.page.locator(".run")).to_have_count(0)
    expect(page.page.locator("#history")).to_be_hidden()
    assert upstreams.targets == {}


def test_refusal_is_forgotten_when_it_is_mended(page, upstreams):
    """Another value clears the mark, and the run begins."""
    page.start("said", what="x", n="one")
    expect(page.page.get_by_role("alert").first).to_be_visible()
    page.begin("said", what="x", n="2")
    expect(page.page.get_by_role("alert").first).to_be_hidden()
    upstreams.wait_target("whole?what=x&n=2")


def test_link_reproduces_the_form(open_page, upstreams):
    """A page that is opened by the form's link has the same feed and values."""
    page = open_page()
    page.page.select_option("#feed", "typed")
    values = {"city": "A&b=c é+", "whole": "12345678901234567891", "needed": "it"}
    for name, value in values.items():
        page.field(name).fill(value)
    page.field("loud").uncheck()
    second = open_page("/" + page.page.locator("#link").get_attribute("href"))
    expect(second.page.locator("#feed")).to_have_value("typed")
    for name, value in values.items():
        expect(second.field(name)).to_have_value(value)
    expect(second.field("loud")).not_to_be_checked()
    second.page.click("#start")
    upstreams.wait_target("typed?A%26b%3Dc%20%C3%A9%2B&12345678901234567891&1.5&false&it")


def test_link_alone_starts_nothing(open_page):
    """Whoever follows a link has a form, and calls nobody."""
    page = open_page("/?feed=typed&needed=it")
    expect(page.field("needed")).to_have_value("it")
    expect(page.page.locator(".run")).to_have_count(0)


def test_link_that_names_no_feed_is_none(open_page):
    """An address with a feed that there is not shows the first, and says so."""
    page = open_page("/?feed=none&city=x&whole=nothing")
    expect(page.page.locator("#feed")).to_have_value("three")
    expect(page.page.locator("#notice")).to_have_text("There is no feed none here.")


def test_run_again_asks_the_same(page, upstreams):
    """Another run of the same feed and values, whatever the form says by then."""
    first = page.begin("typed", whole="98765432109876543210", needed="it")
    upstreams.answer("typed", "1")
    page.wait_end("finished")
    page.field("needed").fill("other")
    page.press("again")
    expect(page.page).not_to_have_url(re.compile(first))
    upstreams.wait_target("typed?Paris&98765432109876543210&1.5&true&it", 2)


def test_stop_ends_the_run(page, upstreams):
    """What was there stays, what was under way is cancelled, and the next run can start."""
    first = page.begin("three")
    upstreams.answer("one", "1")
    page.wait_row("one", "result")
    page.press("stop")
    page.wait_end("stopped")
    page.wait_row("three", "cancelled")
    assert page.states == {"one": "result", "two": "cancelled", "three": "cancelled"}
    expect(page.part("stop")).to_have_attribute("aria-disabled", "true")
    assert page.begin("three") != first
    page.wait_row("one", "waiting")


def test_start_cannot_be_pressed_twice(page):
    """While a run is being made, Start does nothing, and says so."""
    asked = page.count_requests()
    held = page.hold("**/feeds/three")
    page.start("three")
    page.wait_state("starting")
    expect(page.page.locator("#start")).to_have_attribute("aria-disabled", "true")
    page.page.locator("#start").press("Enter")
    held[0].continue_()
    expect(page.run).to_be_visible()
    page.wait_state("idle")
    assert len(runs_begun(asked)) == 1


def test_start_waits_for_the_feeds(tab, relay, upstreams):
    """Where there is no form to read, Start cannot be pressed."""
    tab.route("**/feeds", lambda route: route.abort())
    tab.goto(relay.base_url)
    expect(tab.locator("#notice")).to_be_visible()
    expect(tab.locator("#start")).to_be_disabled()
    tab.unroute_all()


def test_lost_answer_is_no_refusal(page):
    """Where no answer comes to a Start, it is said that nobody knows what has become of it."""
    page.page.route("**/feeds/three", lambda route: route.abort())
    page.start("three")
    expect(page.page.get_by_role("alert").first).to_contain_text("may have started")
    page.wait_state("idle")


def test_browser_is_no_stricter_than_the_server(page, upstreams):
    """What the server takes can be typed in, also where a character is two of the browser's."""
    page.page.select_option("#feed", "typed")
    page.field("city").fill("")
    page.field("city").press_sequentially("\N{GRINNING FACE}" * 150)
    page.field("needed").fill("it")
    page.page.click("#start")
    city = "%F0%9F%98%80" * 150
    upstreams.wait_target(f"typed?{city}&12345678901234567890&1.5&true&it")
