"""The waterfall: a line for each upstream, whose shapes stand where the events' times put them."""

import re
from itertools import combinations

import pytest
from playwright.sync_api import expect

from tests.upstream_words import SSE, token
from tests.viewing import ask, eventually

APPS = ["quart"]

# Times are shown in whole milliseconds, or hundredths of a second.
ROUNDING = 0.006

SOME_TIME = re.compile(r"[2-9]\d\d ms|\d s")


def read_run(served, run):
    """What the server says of a run as it stands."""
    return ask(served.base_url, f"/runs/{run}?format=json").json()


def read_seconds(text):
    number, unit = text.split()
    return float(number) / (1000 if unit == "ms" else 1)


def number(shape, name):
    return float(shape.get_attribute(name))


def finish_three(page, upstreams):
    """A run that has answers, a failure, and between them some time."""
    run = page.begin("three")
    upstreams.answer("two", "2")
    page.wait_row("two", "result")
    expect(page.part("names").locator("[data-part=time]").first).to_have_text(SOME_TIME)
    upstreams.answer("one", "no", status=404)
    upstreams.answer("three", "3")
    page.wait_end("finished")
    return run


@pytest.mark.parametrize("width", [390, 1280])
def test_each_upstream_has_a_line(page, upstreams, width):
    """In the order of the feed, at the height of its name."""
    page.page.set_viewport_size({"width": width, "height": 800})
    finish_three(page, upstreams)
    page.wait_picture()
    lines = page.part("plot").locator("g[data-state]")
    expect(lines).to_have_count(3)
    expect(page.part("names").locator(".name")).to_have_text(["one", "two", "three"])
    for name in ("one", "two", "three"):
        beside = page.part("names").locator(f"[data-upstream={name}]").bounding_box()
        shape = page.line(name, "path.shape").bounding_box()
        middle = shape["y"] + shape["height"] / 2
        assert abs(middle - beside["y"] - beside["height"] / 2) < 3


def test_replay_draws_the_same(page, upstreams):
    """A page that is loaded after the end draws each shape where it stood."""
    finish_three(page, upstreams)
    picture = page.wait_picture()
    page.reload()
    assert len(page.wait_picture()) > 10
    eventually(lambda: page.picture == picture)


def test_replay_of_streams_and_retries_draws_the_same(open_page, upstreams):
    """So do two pages, of which one has seen the attempts and pieces come."""
    page = open_page()
    for feed, name in (("flaky", "rates"), ("go1", "go1")):
        run = page.begin(feed)
        upstreams.answer(name, "busy", status=503)
        if feed == "flaky":
            upstreams.answer(name, "1")
        page.wait_connection("ended")
        picture = page.wait_picture()
        second = open_page(f"/#{run}")
        second.wait_picture()
        eventually(lambda: second.picture == picture)  # noqa: B023


def test_pieces_stand_where_they_came(page, upstreams, served):
    """Each tick of a stream is at its event's time."""
    run = page.begin("answer")
    upstreams.begin("tokens", content_type=SSE)
    for n in (1, 2, 3):
        upstreams.send("tokens", token("x"))
        expect(page.card("tokens", "stream")).to_have_text("x" * n)
    upstreams.end("tokens")
    page.wait_end("finished")
    page.wait_picture()
    events = ask(served.base_url, f"/runs/{run}?format=ndjson").text.splitlines()
    ats = [float(at) for at in re.findall(r'"event":"chunk".*?"at":([0-9.]+)', "\n".join(events))]
    end = read_run(served, run)["results"]["tokens"]["at"]
    ticks = re.findall(r"M([0-9.]+)", page.line("tokens", "path.ticks").get_attribute("d"))
    expected = [at / end * page.width for at in ats]
    assert [float(x) for x in ticks] == pytest.approx(expected, abs=0.1)


def test_first_byte_is_set_off_from_the_body(page, upstreams, served):
    """The bar changes where the head of the response came, and ends where the body did."""
    run = page.begin("one")
    time = page.part("names").locator("[data-part=time]")
    expect(time).to_have_text(SOME_TIME)
    upstreams.begin("one", content_type="application/json")
    expect(time).to_have_text(re.compile(r"[5-9]\d\d ms|\d s"))
    upstreams.send("one", b"1")
    upstreams.end("one")
    page.wait_end("finished")
    page.wait_picture()
    result = read_run(served, run)["results"]["one"]
    scale = page.width / result["at"]
    head, body = page.line("one", "rect.head"), page.line("one", "rect.body")
    began = result["at"] - result["elapsed"]
    assert number(head, "x") == pytest.approx(began * scale, abs=0.1)
    assert number(body, "x") == pytest.approx((began + result["first_byte"]) * scale, abs=0.1)
    assert number(body, "x") + number(body, "width") == pytest.approx(page.width, abs=0.1)
    assert number(body, "width") > 20


def test_states_differ_in_shape(page, upstreams):
    """An answer, a failure, what goes on and what was cancelled are told apart without colour."""
    page.start("three")
    upstreams.answer("one", "1")
    upstreams.answer("two", "no", status=404)
    page.wait_row("one", "result")
    page.wait_row("two", "failure")
    shapes = [page.line("three", "path.shape.running").get_attribute("d")]
    page.press("stop")
    page.wait_end("stopped")
    for name, state in (("one", "result"), ("two", "failure"), ("three", "cancelled")):
        shapes.append(page.line(name, f"path.shape.{state}").get_attribute("d"))
    assert all(one != other for one, other in combinations(shapes, 2))


def test_bar_grows_while_it_waits(page):
    """What has not answered is drawn up to now."""
    page.start("three")
    shape = page.line("one", "path.shape")
    before = shape.get_attribute("transform") or ""
    expect(shape).not_to_have_attribute("transform", before)


def test_figures_agree_with_the_events(page, upstreams, served):
    """The first answer, the last, and all one after the other are those of the run's events."""
    run = finish_three(page, upstreams)
    said = read_run(served, run)
    results, outcomes = said["results"], {**said["results"], **said["failures"]}
    expected = {
        "first": min(each["at"] for each in results.values()),
        "last": max(each["at"] for each in outcomes.values()),
        "sequential": sum(each["elapsed"] for each in outcomes.values()),
    }
    page.wait_picture()
    shown = {part: read_seconds(page.part(part).inner_text()) for part in expected}
    assert shown == pytest.approx(expected, abs=ROUNDING)


def test_marks_stand_at_the_first_and_the_last(page, upstreams, served):
    """The two lines across the picture are at the times that the figures say."""
    said = read_run(served, finish_three(page, upstreams))
    page.wait_picture()
    first = page.part("plot").locator(".mark.first").get_attribute("d")
    last = max(each["at"] for each in [*said["results"].values(), *said["failures"].values()])
    expected = said["results"]["two"]["at"] / last * page.width
    assert float(re.search(r"M([0-9.]+)", first)[1]) == pytest.approx(expected, abs=0.1)
