"""Pictures of the page, running and ended, as docs/page has them.

`make screenshots` takes them anew: SCREENSHOTS names the folder that they are put into.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser import FeedPage
from tests.serving import FANSTREAM, ROOT, Served, free_port, serving_command

PICTURES = ROOT / "docs" / "page"

WIDE = (1280, 900)
NARROW = (390, 844)


@pytest.fixture(scope="module")
def demo(browser, tmp_path_factory) -> Iterator[Served]:
    port = free_port()
    folder = tmp_path_factory.mktemp("demo")
    with serving_command(FANSTREAM, "demo", "--port", str(port), port=port, folder=folder) as demo:
        yield demo


@pytest.fixture
def folder(tmp_path) -> Path:
    return Path(os.environ.get("SCREENSHOTS", tmp_path))


@pytest.mark.parametrize(
    ("name", "feed", "scheme", "size", "is_ended"),
    [
        ("running-light", "city", "light", WIDE, False),
        ("ended-light", "city", "light", WIDE, True),
        ("ended-dark", "delays", "dark", WIDE, True),
        ("running-narrow-dark", "answer", "dark", NARROW, False),
    ],
)
def test_picture(browser, demo, folder, name, feed, scheme, size, is_ended):
    """Each picture that is taken is one of those of the documentation."""
    width, height = size
    viewport = {"width": width, "height": height}
    with browser.new_context(color_scheme=scheme, viewport=viewport) as context:
        page = FeedPage(context.new_page(), demo.base_url)
        page.start(feed)
        if is_ended:
            page.wait_end("finished")
        elif feed == "answer":
            expect(page.card("tokens", "stream")).to_contain_text("sent the")
        else:
            page.wait_row("rates", "result")
        page.page.screenshot(path=folder / f"{name}.png")
    assert name in {picture.stem for picture in PICTURES.glob("*.png")}
