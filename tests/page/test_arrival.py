"""What upstreams say is on the page the moment they have said it."""

import json
import re

from playwright.sync_api import expect

from tests.upstream_words import SSE, token


def test_answers_arrive_one_by_one(page, upstreams):
    """Each answer is on the page before the next upstream has given its own."""
    page.start("three")
    for done, name in enumerate(["two", "three", "one"], 1):
        page.wait_row(name, "waiting")
        upstreams.answer(name, json.dumps({"from": name}))
        page.wait_row(name, "result")
        expect(page.card(name)).to_have_attribute("data-done", str(done))
        expect(page.card(name, "body")).to_contain_text(f'from: "{name}"')
        assert list(page.states.values()).count("waiting") == 3 - done
    page.wait_end("finished")


def test_cards_come_in_the_order_of_arrival(page, upstreams):
    """Who answers first stands first, and who has said nothing has no card."""
    page.start("three")
    cards = page.run.locator(".card h3")
    for name, shown in (("three", ["three"]), ("one", ["three", "one"])):
        upstreams.answer(name, "1")
        expect(cards).to_have_text(shown)


def test_progress_is_counted_and_read_out(page, upstreams):
    """The count, the bar, and the words for who does not see them follow each outcome."""
    page.start("three")
    upstreams.answer("two", "1")
    expect(page.part("count")).to_have_text("1 of 3")
    expect(page.part("progress")).to_have_js_property("value", 1)
    expect(page.part("progress")).to_have_js_property("max", 3)
    expect(page.page.get_by_role("status")).to_have_text("two answered, 1 of 3.")


def test_failures_are_read_out(page, upstreams):
    """What has failed is not said to have answered."""
    page.start("three")
    upstreams.answer("two", "no", status=404)
    expect(page.page.get_by_role("status")).to_have_text("two failed, 1 of 3.")


def test_hidden_run_is_not_read_out(page, upstreams):
    """What comes to a run that is not looked at is said to nobody."""
    page.begin("answer")
    page.begin("three")
    upstreams.answer("tokens", f"{token('x').decode()}data: [DONE]\n\n", content_type=SSE)
    expect(page.page.locator("#runs li[data-state=finished]")).to_have_count(1)
    upstreams.answer("two", "1")
    expect(page.page.get_by_role("status")).to_have_text("two answered, 1 of 3.")


def test_value_is_shown_as_it_came(page, upstreams):
    """Integers that JavaScript would round, and keys that it would sort, stay as they were."""
    page.start("three")
    upstreams.answer("one", '{"b":12345678901234567890,"1":1.5}')
    members = page.card("one", "body").locator("li")
    expect(members).to_have_text(["b: 12345678901234567890", "1: 1.5"])


def test_parameters_are_shown_as_they_were_written(page, upstreams):
    """The same holds for what was asked, at the run and in the list of runs."""
    run = page.begin("typed", needed="it", whole="98765432109876543210")
    expect(page.part("params")).to_contain_text("whole: 98765432109876543210")
    expect(page.entry(run)).to_contain_text("98765432109876543210")


def test_one_failure_disturbs_nobody(page, upstreams):
    """A failed upstream says why, while another still waits, and its answer then comes."""
    page.start("three")
    upstreams.answer("one", "no", status=404)
    page.wait_row("one", "failure")
    expect(page.card("one", "error")).to_contain_text("404")
    upstreams.answer("two", "2")
    page.wait_row("two", "result")
    upstreams.answer("three", "3")
    expect(page.part("total")).to_contain_text("finished: 2 ok, 1 failed")
    expect(page.part("count")).to_have_text("3 of 3, 1 failed")
    expect(page.entry(page.run_id)).to_contain_text("finished, 1 failed")


def test_retry_is_shown(page, upstreams):
    """After a failed attempt card and waterfall say so, until the next one succeeds."""
    page.start("flaky")
    upstreams.answer("rates", "busy", status=503)
    page.wait_row("rates", "retrying")
    expect(page.card("rates", "note")).to_contain_text("attempt 1 failed (status 503)")
    expect(page.line("rates", "rect.try")).to_have_count(1)
    upstreams.answer("rates", "1.5")
    page.wait_row("rates", "result")
    expect(page.card("rates", "note")).to_contain_text("2 attempts")
    expect(page.line("rates", "rect.try")).to_have_count(1)


def test_tokens_are_typed_out(page, upstreams):
    """Each token stands on the page before the next is sent, as one text."""
    page.start("answer")
    upstreams.begin("tokens", content_type=SSE)
    text = ""
    for word in ("A", " stream", " of", "\nwords"):
        text += word
        upstreams.send("tokens", token(word))
        expect(page.card("tokens", "stream")).to_have_js_property("innerText", text)
        page.wait_row("tokens", "streaming")
    upstreams.send("tokens", b"data: [DONE]\n\n")
    page.wait_row("tokens", "result")
    expect(page.card("tokens", "note")).to_contain_text("4 chunks")


def test_chunks_are_ticks(page, upstreams):
    """Each piece of a stream has its tick on the line of its upstream."""
    page.start("go1")
    upstreams.begin("go1", content_type="text/plain")
    for n in range(1, 4):
        upstreams.send("go1", b"a line\n")
        expect(page.card("go1", "stream").locator("span")).to_have_count(n)
        expect(page.line("go1", "path.ticks")).to_have_attribute("d", _ticks(n))


def test_all_at_once_is_summed_up(page, upstreams):
    """A stream that comes whole in one moment is summed up as one that took its time."""
    upstreams.answer("go1", "a\nb\n", content_type="text/plain")
    page.start("go1")
    page.wait_end("finished")
    page.reload()
    expect(page.card("go1", "stream").locator("span")).to_have_text(["a", "b"])
    expect(page.card("go1", "note")).to_contain_text("2 chunks")


def _ticks(n: int) -> re.Pattern[str]:
    return re.compile(rf"^(M[0-9.]+ 7v14){{{n}}}$")
