"""Several runs: the list, going from one to another, and finding them again."""

import re

import pytest
from playwright.sync_api import expect

from tests.viewing import ask, eventually

APPS = ["quart"]

# Fifty other runs, which another tab has made.
FILL_LIST = """() => {
  const [first] = JSON.parse(localStorage.getItem('fanstream runs'));
  const others = Array.from({ length: 50 }, (_, n) => (
    { ...first, run: String(n).padStart(32, '0'), word: 'finished' }
  ));
  localStorage.setItem('fanstream runs', JSON.stringify(others));
}"""

LINES = "text/plain"


def begin_lines(page, upstreams, name):
    """A run that has said one line and goes on."""
    run = page.begin(name)
    upstreams.begin(name, content_type=LINES)
    upstreams.send(name, b"first\n")
    expect(page.card(name, "stream")).to_have_text("first")
    return run


def choose(page, run):
    page.entry(run).click()
    expect(page.run).to_have_attribute("data-run", run)


@pytest.fixture
def two(page, upstreams):
    """Two runs that go on, of which the second is looked at."""
    return [begin_lines(page, upstreams, name) for name in ("go1", "go2")]


def test_runs_are_listed(page, two):
    """The newest first, each with its feed, how it stands, and which is looked at."""
    entries = page.page.locator("#runs a")
    expect(entries).to_contain_text(["go2", "go1"])
    expect(page.page.locator("#runs .state")).to_have_text(["open", "open"])
    expect(page.entry(two[1])).to_have_attribute("aria-current", "true")
    expect(page.page.locator("#runs [aria-current]")).to_have_count(1)


def test_list_says_what_was_asked(page):
    """Runs of one feed are told apart by their parameters, and by their time."""
    run = page.begin("said", what="this one")
    expect(page.entry(run)).to_contain_text(re.compile(r"[0-9]:[0-9]{2}.* this one, 1"))


def test_long_parameters_leave_room(page, upstreams):
    """A prompt of some pages pushes neither the other runs nor the answers out of sight."""
    run = page.begin("said", what="many words " * 90)
    for shown in (f"#runs [href='#{run}']", ".run:not([hidden]) [data-part=params]"):
        expect(page.page.locator(shown)).to_contain_text("many words")
        # In one step, as the list may be made anew at any time.
        height = page.page.evaluate("(it) => document.querySelector(it).offsetHeight", shown)
        assert 0 < height < 100
    upstreams.wait_target("json")


def test_click_chooses_a_run(page, two):
    """The run that is clicked is the one that is shown, and the address says so."""
    choose(page, two[0])
    expect(page.page).to_have_url(re.compile(f"#{two[0]}$"))
    expect(page.page.locator(".run:visible")).to_have_count(1)
    expect(page.entry(two[0])).to_have_attribute("aria-current", "true")


def test_back_and_forward_choose_a_run(page, two):
    """As the addresses have been, so are the runs; before the first there is none."""
    page.page.go_back()
    expect(page.run).to_have_attribute("data-run", two[0])
    page.page.go_back()
    expect(page.run).to_have_count(0)
    page.page.go_forward()
    page.page.go_forward()
    expect(page.run).to_have_attribute("data-run", two[1])


def test_chosen_entry_keeps_the_focus(page, two):
    """Whoever goes through the list by keyboard stays where they are."""
    page.entry(two[0]).focus()
    page.page.keyboard.press("Enter")
    expect(page.run).to_have_attribute("data-run", two[0])
    expect(page.entry(two[0])).to_be_focused()


def test_hidden_run_goes_on(page, upstreams, two):
    """What comes while another run is looked at is there when one comes back."""
    upstreams.send("go1", b"second\n")
    upstreams.end("go1")
    expect(page.page.locator("#runs .state")).to_have_text(["open", "finished"])
    asked = page.count_requests()
    choose(page, two[0])
    expect(page.card("go1", "stream").locator("span")).to_have_text(["first", "second"])
    expect(page.line("go1", "path.shape.result")).to_have_count(1)
    assert asked == []


def test_history_survives_a_reload(page, upstreams, two):
    """The list is there again, and the run of the address goes on."""
    page.reload()
    expect(page.page.locator("#runs a")).to_contain_text(["go2", "go1"])
    expect(page.run).to_have_attribute("data-run", two[1])
    expect(page.card("go2", "stream")).to_have_text("first")
    upstreams.send("go2", b"second\n")
    expect(page.card("go2", "stream").locator("span")).to_have_count(2)


def test_ended_run_is_replayed(page, upstreams, two):
    """A run that ended before the page was loaded is shown whole, and calls nobody."""
    upstreams.end("go1")
    expect(page.page.locator("#runs .state")).to_have_text(["open", "finished"])
    page.reload()
    choose(page, two[0])
    page.wait_end("finished")
    expect(page.card("go1", "stream")).to_have_text("first")
    expect(page.part("count")).to_have_text("1 of 1")
    assert upstreams.targets["go1"] == 1


def test_run_that_was_only_followed_is_listed(page, upstreams, served):
    """An address that somebody was sent makes an entry, with the feed and what was asked."""
    run = ask(served.base_url, "/feeds/said", method="POST", json={"what": "that"}).json()["run"]
    page.follow(run)
    expect(page.entry(run)).to_contain_text("that, 1")
    expect(page.entry(run)).to_contain_text("open")


def test_runs_that_nobody_follows_are_asked_for(open_page, upstreams, served):
    """A page that is opened says which runs of its list have ended meanwhile, and which goes on."""
    page = open_page()
    ended, going = [begin_lines(page, upstreams, name) for name in ("go1", "go2")]
    page.page.goto("about:blank")
    upstreams.end("go1")
    eventually(lambda: ask(served.base_url, f"/runs/{ended}?format=json").json()["done"])
    page = open_page()
    expect(page.entry(ended)).to_contain_text("finished")
    expect(page.entry(going)).to_contain_text("open")
    page.page.click("#forget")
    expect(page.page.locator("#runs a")).to_have_count(1)


def test_runs_that_cannot_be_asked_for_stay(page, upstreams):
    """An answer that breaks off says nothing of a run: its entry stays, and the page works on."""
    run = begin_lines(page, upstreams, "go1")
    page.page.route("**/runs/*?format=json", lambda route: route.fulfill(body="{", status=200))
    with page.page.expect_response("**/runs/*?format=json"):
        page.page.evaluate("() => { location.hash = ''; location.reload(); }")
    page.wait_state("idle")
    page.page.click("#forget")
    page.begin("go2")
    expect(page.entry(run)).to_contain_text("open")


def test_forget_removes_what_has_ended(page, upstreams, two):
    """What goes on stays, and so does what is looked at."""
    upstreams.end("go1")
    expect(page.page.locator("#runs .state")).to_have_text(["open", "finished"])
    page.page.click("#forget")
    expect(page.page.locator("#runs a")).to_contain_text(["go2"])
    page.reload()
    expect(page.page.locator("#runs a")).to_contain_text(["go2"])


def test_forget_keeps_what_another_page_follows(page, two):
    """A run that goes on and that this page has not followed yet is not forgotten."""
    page.reload()
    page.page.click("#forget")
    expect(page.page.locator("#runs a")).to_contain_text(["go2", "go1"])


def test_fifth_run_leaves_the_one_looked_at_longest_ago(page, upstreams):
    """No more than four are followed; the one that was left is whole when it is chosen again."""
    runs = [begin_lines(page, upstreams, f"go{n}") for n in range(1, 5)]
    choose(page, runs[0])
    begin_lines(page, upstreams, "go5")
    states = ["open", "open", "open", "not followed", "open"]
    expect(page.page.locator("#runs .state")).to_have_text(states)
    upstreams.send("go2", b"second\n")
    choose(page, runs[1])
    expect(page.card("go2", "stream").locator("span")).to_have_text(["first", "second"])
    states = ["open", "open", "not followed", "open", "open"]
    expect(page.page.locator("#runs .state")).to_have_text(states)
    assert upstreams.targets["go2"] == 1


def test_views_go_with_their_entries(page, upstreams):
    """A page that stays open for long holds no more runs than its list."""
    run = begin_lines(page, upstreams, "go1")
    upstreams.end("go1")
    page.wait_end("finished")
    page.page.evaluate(FILL_LIST)
    page.begin("one")
    upstreams.wait_target("one")
    expect(page.page.locator("#runs a")).to_have_count(50)
    expect(page.page.locator(f".run[data-run='{run}']")).to_have_count(0)
    page.page.go_back()
    expect(page.card("go1", "stream")).to_have_text("first")


def test_run_again_keeps_the_focus(page, upstreams):
    """Whoever presses it goes on at the same button, which is the new run's."""
    first = page.begin("one")
    page.part("again").press("Enter")
    expect(page.run).not_to_have_attribute("data-run", first)
    expect(page.part("again")).to_be_focused()
    upstreams.wait_target("one", 2)


def test_lost_run_can_be_run_again(page, upstreams):
    """A run that the server has no longer is made anew from what the browser knows of it."""
    run = page.begin("said", what="again")
    upstreams.wait_target("whole?what=again&n=1")
    page.page.route(f"**/runs/{run}", lambda route: route.fulfill(status=404))
    page.reload()
    page.wait_end("lost")
    page.press("again")
    expect(page.page).not_to_have_url(re.compile(run))
    upstreams.wait_target("whole?what=again&n=1", 2)


def test_refused_run_can_be_chosen_again(page, upstreams):
    """Whoever was refused for a while, as with a token that had expired, need not reload."""
    run = begin_lines(page, upstreams, "go1")
    refuse = f"**/runs/{run}"
    page.page.route(refuse, lambda route: route.fulfill(status=401))
    page.press("cut")
    page.wait_end("refused")
    page.page.unroute(refuse)
    page.page.go_back()
    choose(page, run)
    page.wait_connection("open")
    expect(page.card("go1", "stream")).to_have_text("first")


def test_address_that_names_no_run_is_lost(open_page):
    """It is said that there is no such run, and the list does not keep it."""
    page = open_page(f"/#{'0' * 32}")
    page.wait_end("lost")
    expect(page.page.locator("#runs a")).to_have_count(0)
