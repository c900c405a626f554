"""What others have written is shown as text, and nothing of it runs.

In every field: what is asked, what is answered, what feeds are called, and the address.
"""

from urllib.parse import quote

import pytest
from playwright.sync_api import expect

from tests.browser import written
from tests.upstream_words import SSE
from tests.viewing import ask

APPS = ["quart"]

MARKUP = (
    "</pre><script>window.hurt = 1</script><img src=x onerror='window.hurt = 1'>"
    "<a href='javascript:window.hurt = 1'>\"x\"</a>&lt;b&gt;{name}${name}"
)

# What means something in an event stream, and in JSON.
STREAM = '\ndata: x\n\nid: x-9\nevent: done\ndata: {"at":0}\n\n\r\n: beat\r\u2028\0\\"}'

HURTFUL = [MARKUP, STREAM]

# The listener added last hears of the error last.
INSERT_MARKUP = """() => new Promise((resolve) => {
  document.body.insertAdjacentHTML('beforeend', '<img src="x" onerror="window.hurt = 1">');
  document.querySelector('img').addEventListener('error', () => resolve());
})"""

INSERT_SCRIPT = """() => {
  const script = document.createElement('script');
  script.textContent = 'window.hurt = 1';
  document.body.append(script);
}"""

# What the page itself has of these stands in its templates, which count as no part of it.
FOREIGN = ":is(main, header) :is(script, img, b, i, iframe, style, a:not([href^='#'], #link))"


@pytest.fixture
def harmless(page):
    """Holds a page to having none of the markup, and to having run none of it."""

    def hold(held=page):
        assert held.page.locator(FOREIGN).count() == 0
        assert held.page.evaluate("window.hurt") is None

    return hold


def shown(locator):
    """Expect what a locator holds, to the character."""
    return expect(locator)


@pytest.mark.parametrize("text", HURTFUL, ids=["markup", "stream"])
def test_bodies_are_text(page, upstreams, harmless, text):
    """A text, the strings and keys of JSON, and their raw view."""
    page.start("said", what="x")
    upstreams.answer("whole", text, content_type="text/plain")
    upstreams.answer("json", written({text: [text]}))
    body = page.card("whole", "body").locator("pre")
    expect(body).to_have_js_property("textContent", text)
    tree = page.card("json", "body")
    expect(tree.locator(".key").first).to_have_js_property("textContent", text)
    expect(tree.locator(".string")).to_have_js_property("textContent", f'"{text}"')
    page.card("json", "rawButton").click()
    expect(page.card("json", "raw")).to_be_visible()
    harmless()


@pytest.mark.parametrize("text", HURTFUL, ids=["markup", "stream"])
def test_pieces_are_text(page, upstreams, harmless, text):
    """Lines, events with their names, and values of streams."""
    page.start("said", what="x")
    upstreams.answer("objects", f"{written([text])}\n", content_type="application/x-ndjson")
    expect(page.card("objects", "stream")).to_have_js_property("textContent", as_sent([text]))
    line = text.translate(dict.fromkeys(map(ord, "\r\n\0")))
    upstreams.answer("lines", f"{line}\n", content_type="text/plain")
    expect(page.card("lines", "stream")).to_have_js_property("textContent", line)
    upstreams.answer("events", f"event: {line}\ndata: {line}\n\n", content_type=SSE)
    expect(page.card("events", "stream")).to_have_js_property("textContent", f"{line}: {line}")
    page.wait_row("events", "result")
    harmless()


def as_sent(value):
    """JSON as the server writes it, whose escapes are its own choice."""
    return written(value)


def test_types_are_text(page, upstreams, harmless):
    """What an upstream says that it sends, whether as text or as a picture."""
    page.start("said", what="x")
    kind = f"text/plain; {MARKUP}"
    upstreams.answer("whole", "x", content_type=kind)
    expect(page.card("whole", "kind")).to_contain_text(MARKUP)
    harmless()


def test_errors_of_upstreams_are_text(page, upstreams, harmless):
    """What an upstream has written with an error does nothing."""
    page.start("said", what="x")
    upstreams.answer("whole", MARKUP, content_type="text/html", status=500)
    page.wait_row("whole", "failure")
    expect(page.card("whole", "error")).to_have_text("status: answered with status 500")
    harmless()


def test_picture_of_markup_does_nothing(page, upstreams, harmless):
    """A picture with a script in it is a picture, and one whose type is markup is none."""
    page.start("kinds")
    svg = "<svg xmlns='http://www.w3.org/2000/svg' width='7' height='7'>"
    script = "<script>parent.hurt = window.hurt = 1</script></svg>"
    upstreams.answer("picture", svg + script, content_type="image/svg+xml")
    image = page.card("picture", "body").locator("img")
    expect(image).to_have_js_property("naturalWidth", 7)
    assert page.page.evaluate("window.hurt") is None


def test_broken_picture_type_is_text(page, upstreams, harmless):
    """A type of a picture that has markup in it gets no further than its text."""
    page.start("kinds")
    upstreams.answer("picture", "abc", content_type=f'image/png" onerror="{MARKUP}')
    expect(page.card("picture", "kind")).to_contain_text("onerror")
    expect(page.card("picture", "body").locator("[onerror]")).to_have_count(0)
    assert page.page.evaluate("window.hurt") is None


@pytest.mark.parametrize("text", [MARKUP, STREAM.replace("\0", "")], ids=["markup", "stream"])
def test_parameters_are_text(page, harmless, served, text):
    """What was asked, at the run and in the list, be it by another program."""
    answer = ask(served.base_url, "/feeds/said", method="POST", json={"what": text})
    run = answer.json()["run"]
    page.follow(run)
    expect(page.part("params")).to_have_js_property("textContent", f"what: {text}, n: 1")
    entry = page.entry(run).locator(".quiet")
    expect(entry).to_have_js_property("textContent", f" {text}, 1"[1:])
    harmless()


def test_titles_and_labels_are_text(page, harmless):
    """What feeds and parameters are called, in the form, the list and the run."""
    run = page.begin("said", what="x")
    title = "<b>Said</b><script>window.hurt = 1</script>"
    expect(page.part("title")).to_have_text(title)
    expect(page.entry(run)).to_contain_text(title)
    expect(page.page.locator("#params label").first).to_have_text("<i>What</i>")
    harmless()


def test_refusal_is_text(page, harmless):
    """What the server says of a value."""
    page.start("said", what="x", n=MARKUP)
    expect(page.page.get_by_role("alert").first).to_be_visible()
    harmless()


def test_problem_is_text(page, harmless):
    """What the server, or whoever answers in its place, says of a Start."""
    problem = {"status": 503, "body": written({"detail": MARKUP})}
    content_type = "application/problem+json"
    page.page.route(
        "**/feeds/three", lambda route: route.fulfill(content_type=content_type, **problem)
    )
    page.start("three")
    expect(page.page.get_by_role("alert").first).to_have_text(f"Not possible: {MARKUP}.")
    harmless()


@pytest.mark.parametrize("text", HURTFUL, ids=["markup", "stream"])
def test_query_is_text(open_page, harmless, text):
    """A link fills in a form, and does no more."""
    for query in (f"feed={quote(text)}", f"feed=said&what={quote(text)}&{quote(text)}=1"):
        page = open_page(f"/?{query}")
        harmless(page)
    # A line of a form holds no line ends.
    typed = text.replace("\n", "").replace("\r", "")
    expect(page.field("what")).to_have_value(typed)


@pytest.mark.parametrize(
    "fragment",
    [
        *map(quote, HURTFUL),
        "<script>window.hurt=1</script>",
        "..",
        "%",
        "../feeds/three",
        "%2e%2e/",
    ],
)
def test_fragment_is_no_path(open_page, harmless, fragment):
    """An address with what is no name of a run asks for nothing: it would be a link that starts."""
    page = open_page(f"/#{fragment}")
    asked = page.count_requests()
    page.page.evaluate("(fragment) => { location.hash = `${fragment}x`; }", fragment)
    # What it asked for would have been asked for before this.
    page.start("said", what="x")
    page.wait_connection("open")
    assert asked[0].startswith("POST")
    harmless(page)


def test_what_is_stored_is_text(page, harmless):
    """Nor does it anything in what the browser has kept."""
    kept = [{"run": MARKUP, "title": MARKUP, "params": written({MARKUP: MARKUP}), "word": MARKUP}]
    page.page.evaluate("(it) => localStorage.setItem('fanstream runs', it)", written(kept))
    page.reload()
    expect(page.page.locator("#runs a")).to_contain_text([MARKUP])
    harmless()


@pytest.mark.parametrize("insert", [INSERT_MARKUP, INSERT_SCRIPT], ids=["handler", "script"])
def test_foreign_scripts_are_refused(page, insert):
    """Would markup ever get through, the browser would still run none of it."""
    with page.page.expect_console_message(lambda it: "Content Security Policy" in it.text):
        page.page.evaluate(insert)
    assert page.page.evaluate("window.hurt") is None
    assert len(page.faults) == 1
    page.faults.clear()
