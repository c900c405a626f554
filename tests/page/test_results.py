"""What an upstream has answered: a tree, text, a picture, or why there is none."""

import base64
import re

import pytest
from playwright.sync_api import expect

from tests.browser import written
from tests.upstream_words import SSE, token
from tests.viewing import eventually

APPS = ["flask"]

# One transparent pixel.
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)

REFUSE_COPIES = "() => { navigator.clipboard.writeText = () => Promise.reject(new Error('no')); }"

# Pixels from the top of what is seen of a stream to that of its text, and the same at the bottom.
BEYOND = """(scroller) => {
  const rect = (element) => element.getBoundingClientRect();
  const [shown, text] = [rect(scroller), rect(scroller.firstElementChild)];
  return [text.top - shown.top, text.bottom - shown.bottom].map(Math.round);
}"""

LONG = {"outer": {"inner": "x" * 2000}}


@pytest.fixture
def tree(page, upstreams):
    """Answers with JSON, and gives the card's body."""

    def shown(value):
        page.start("kinds")
        upstreams.answer("tree", value if isinstance(value, str) else written(value))
        expect(page.card("tree", "body")).to_be_visible()
        return page.card("tree", "body")

    return shown


def test_small_tree_is_unfolded(tree):
    """What is short is seen without a click."""
    body = tree({"a": {"b": [1, 2]}})
    expect(body.get_by_text("2", exact=True)).to_be_visible()


def test_tree_folds_by_mouse(tree):
    """A click on what is unfolded hides what is in it, and another one shows it again."""
    body = tree({"a": 1})
    for is_shown in (False, True):
        body.locator("summary").click()
        expect(body.get_by_text("a: 1")).to_be_visible(visible=is_shown)


def test_tree_folds_by_keyboard(tree):
    """Of what is long the first level is shown; each unfolds with Enter and with Space."""
    body = tree(LONG)
    expect(body.locator("li")).to_have_count(1)
    body.locator("summary").nth(1).press("Space")
    expect(body.get_by_text("inner: ")).to_be_visible()
    body.locator("summary").first.press("Enter")
    expect(body.get_by_text("inner: ")).to_be_hidden()


def test_text_is_told_from_numbers(tree):
    """A string has its quotes, and what is shown as a number, a word or a key says so."""
    body = tree('{"key":["5",5,null,true,-1.5e+3,"","a\\"b"]}')
    expect(body.locator("li .key")).to_have_text(["key"])
    expect(body.locator(".string")).to_have_text(['"5"', '""', '"a"b"'])
    expect(body.locator(".number")).to_have_text([re.compile("5"), re.compile("-1500")])
    expect(body.locator(".word")).to_have_text(["null", "true"])


@pytest.mark.parametrize("value", ["[]", "{}", "null", '"text alone"', "0"])
def test_what_has_no_members_is_shown(tree, value):
    """An empty list, an empty object and a value alone are shown, and do not unfold."""
    body = tree(f"[{value}]")
    expect(body.locator("li")).to_have_text([value])
    expect(body.locator("li summary")).to_have_count(0)


def test_many_members_come_behind_a_button(tree):
    """Two hundred are shown at once, and the button says how many are left."""
    body = tree(list(range(1000, 1450)))
    for count, button in ((200, "250 more"), (400, "50 more")):
        expect(body.locator("li")).to_have_count(count)
        body.get_by_role("button", name=button, exact=True).click()
    expect(body.locator("li")).to_have_count(450)
    expect(body.get_by_role("button")).to_have_count(0)


def test_button_for_more_keeps_the_focus(tree):
    """It can be pressed again and again."""
    body = tree(list(range(1000, 1450)))
    body.get_by_role("button").press("Enter")
    expect(body.get_by_role("button", name="50 more", exact=True)).to_be_focused()


def test_text_is_shown_as_it_is(page, upstreams):
    """A text has its line ends and no quotes around it."""
    page.start("kinds")
    upstreams.answer("text", 'one\n  "two"\n', content_type="text/plain")
    body = page.card("text", "body").locator("pre")
    expect(body).to_have_js_property("textContent", 'one\n  "two"\n')


def test_picture_is_shown(page, upstreams):
    """The bytes of a picture are a picture, which the browser has read."""
    page.start("kinds")
    upstreams.begin("picture", content_type="image/png")
    upstreams.send("picture", PNG)
    upstreams.end("picture")
    image = page.card("picture", "body").get_by_role("img")
    expect(image).to_have_js_property("naturalWidth", 1)
    expect(image).to_have_attribute("alt", re.compile("picture"))


def test_other_bytes_are_no_picture(page, upstreams):
    """Bytes of another type are shown as base64."""
    page.start("kinds")
    upstreams.answer("picture", "abc", content_type="application/octet-stream")
    expect(page.card("picture", "body").locator("pre")).to_have_text("YWJj")


def test_raw_view_is_as_written(page, tree):
    """Raw is the JSON that came, in place of the tree, and goes again."""
    value = '{"b":[12345678901234567890,"é\\n"],"1":{}}'
    body, raw = tree(value), page.card("tree", "raw")
    page.card("tree", "rawButton").click()
    expect(raw).to_have_text(value)
    expect(body).to_be_hidden()
    page.card("tree", "rawButton").click()
    expect(body).to_be_visible()
    expect(raw).to_be_hidden()


def test_raw_view_of_a_stream_stays_raw(page, upstreams):
    """Pieces as they were written, also while more of them come."""
    page.start("answer")
    upstreams.begin("tokens", content_type=SSE)
    upstreams.send("tokens", token("first"))
    page.card("tokens", "rawButton").click()
    upstreams.send("tokens", token("second"))
    expect(page.card("tokens", "raw")).to_contain_text("second")
    expect(page.card("tokens", "raw")).to_contain_text('{"event":"message","data":"{')
    expect(page.card("tokens", "stream")).to_be_hidden()


@pytest.mark.parametrize(
    ("feed", "piece"), [("go1", b"line %d\n"), ("answer", token("word %d ") * 20)]
)
def test_end_of_a_stream_is_seen(page, upstreams, feed, piece):
    """What is longer than its card goes on to its end, unless somebody reads further up."""
    upstream, kind = ("tokens", SSE) if feed == "answer" else (feed, "text/plain")
    scroller = page.card(upstream, "scroller")

    def send(until: int) -> None:
        for n in range(until - 30, until):
            upstreams.send(upstream, piece.replace(b"%d", b"%d" % n))
        expect(page.card(upstream, "stream")).to_contain_text(f" {until - 1}")

    page.start(feed)
    upstreams.begin(upstream, content_type=kind)
    for until in (30, 60):
        send(until)
        top, bottom = scroller.evaluate(BEYOND)
        assert top < -100
        assert -20 <= bottom < 0  # the padding
    scroller.hover()
    page.page.mouse.wheel(0, -100_000)
    eventually(lambda: scroller.evaluate(BEYOND)[0] > 0)
    top, bottom = scroller.evaluate(BEYOND)
    send(90)
    assert scroller.evaluate(BEYOND)[0] == top
    assert scroller.evaluate(BEYOND)[1] > bottom


def test_body_is_copied(page, tree):
    """Copy puts a body on the clipboard as it was written, and says so."""
    page.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    tree('{"b":12345678901234567890,"1":1.5}')
    page.card("tree", "copyButton").click()
    expect(page.card("tree", "copyButton")).to_have_text("Copied")
    copied = page.page.evaluate("navigator.clipboard.readText()")
    assert copied == '{"b":12345678901234567890,"1":1.5}'


def test_text_is_copied_as_text(page, upstreams):
    """Of a text its characters are copied, not the JSON that they came in."""
    page.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.start("kinds")
    upstreams.answer("text", 'one\n"two"', content_type="text/plain")
    page.card("text", "copyButton").click()
    expect(page.card("text", "copyButton")).to_have_text("Copied")
    assert page.page.evaluate("navigator.clipboard.readText()") == 'one\n"two"'


def test_lines_are_copied_with_their_ends(page, upstreams):
    """Of a stream what is seen is copied, each line for itself."""
    page.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.start("go1")
    upstreams.answer("go1", "one\ntwo\n", content_type="text/plain")
    page.wait_end("finished")
    page.card("go1", "copyButton").click()
    expect(page.card("go1", "copyButton")).to_have_text("Copied")
    assert page.page.evaluate("navigator.clipboard.readText()") == "one\ntwo"


def test_refused_copy_is_said(page, tree):
    """Where the browser does not let a page copy, it says so."""
    tree("1")
    page.page.evaluate(REFUSE_COPIES)
    page.card("tree", "copyButton").click()
    expect(page.card("tree", "copyButton")).to_have_text("Not allowed")


def test_failure_says_why(page, upstreams):
    """Code, status, message and attempts stand on the card."""
    page.start("flaky")
    upstreams.answer("rates", "no", status=503)
    upstreams.answer("rates", "no", status=503)
    page.wait_row("rates", "failure")
    expect(page.card("rates")).to_have_attribute("data-code", "status")
    expect(page.card("rates", "error")).to_have_text("status: answered with status 503")
    expect(page.card("rates", "status")).to_have_text("503")
    expect(page.card("rates", "note")).to_contain_text("2 attempts")


def test_answer_says_what_it_is(page, tree):
    """Its status, its type and its time stand on the card."""
    tree({"a": 1})
    expect(page.card("tree", "status")).to_have_text("200")
    expect(page.card("tree", "kind")).to_have_text("application/json, 7 characters")
    expect(page.card("tree", "time")).to_have_text(re.compile(r"^[0-9.]+ m?s$"))
    expect(page.card("tree", "note")).to_have_text(re.compile(r"^first byte after [0-9.]+ m?s$"))
