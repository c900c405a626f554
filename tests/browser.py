"""The Chromium that is installed, driven by Playwright, and the page as a person meets it."""

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, Request, Route, expect, sync_playwright

from tests.viewing import eventually

_NAMES = ("chromium", "chromium-browser", "google-chrome")

# No sandbox, as root has none in containers; and nothing that would call home.
_ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]

# Milliseconds. Machines are shared: this only bounds what would else hang.
_TIMEOUT_MS = 15_000

# All words that the page has for its connections, in the order in which it has shown them: some of
# them stand for less time than there is between two looks.
_WRITE_DOWN_CONNECTIONS = """(() => {
  if (window.connections) return; // a tab that was used before
  window.connections = [];
  addEventListener('DOMContentLoaded', () => {
    const views = document.getElementById('views');
    if (views) new MutationObserver((changes) => {
      for (const { target } of changes) {
        const shown = target.parentElement?.closest('.run') ? target : null;
        if (shown?.dataset?.part === 'connection') window.connections.push(shown.textContent);
      }
    }).observe(views, { subtree: true, childList: true });
  });
})()"""

# What tells one picture of a run from another: its shapes and where they stand.
_READ_PICTURE = """(svg) => [...svg.querySelectorAll('g, rect, path')].map((shape) => (
  [shape.localName, ...[...shape.attributes].map(({ name, value }) => `${name}=${value}`)].join(' ')
))"""


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run Chromium without a window; without Chromium, skip the test, or fail it in CI."""
    path = next(filter(None, map(shutil.which, _NAMES)), None)
    if path is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("Chromium is not installed")
    expect.set_options(timeout=_TIMEOUT_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=_ARGUMENTS)
        yield browser
        browser.close()


class FeedPage:
    """The page, opened and loaded.

    Attributes:
        page: Playwright's own.
        faults: What scripts have raised, and what the content security policy has refused.
    """

    def __init__(self, page: Page, base_url: str, path: str = "/") -> None:
        self.page = page
        self.faults: list[str] = []
        page.set_default_timeout(_TIMEOUT_MS)
        page.add_init_script(_WRITE_DOWN_CONNECTIONS)
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("console", lambda message: self._receive_message(message.text))
        page.goto(f"{base_url}{path}")
        self.wait_state("idle")

    def _receive_message(self, text: str) -> None:
        if "Content Security Policy" in text:
            self.faults.append(text)

    def start(self, feed: str, **params: str) -> None:
        """Choose a feed, fill in its parameters, and press Start."""
        self.page.select_option("#feed", feed)
        for name, value in params.items():
            self.page.fill(f"[data-param={name}]", value)
        self.page.click("#start")

    def begin(self, feed: str, **params: str) -> str:
        """Start a run and wait until it is the one that is shown; return which it is."""
        before = self.page.url
        self.start(feed, **params)
        expect(self.page).not_to_have_url(before)
        run = self.page.url.partition("#")[2]
        expect(self.run).to_have_attribute("data-run", run)
        return run

    def follow(self, run: str) -> None:
        """Show a run that there is."""
        self.page.evaluate("run => { location.hash = run; }", run)

    def field(self, param: str) -> Locator:
        """What a parameter is filled in at."""
        return self.page.locator(f"[data-param={param}]")

    def reload(self) -> None:
        """Load the page anew, at the address that it has."""
        self.page.reload()
        self.wait_state("idle")

    def entry(self, run: str) -> Locator:
        """A run in the list of runs."""
        return self.page.locator(f'#runs a[href="#{run}"]')

    @property
    def run(self) -> Locator:
        """The run that is shown."""
        return self.page.locator(".run:visible")

    @property
    def run_id(self) -> str:
        """Which run is shown."""
        return self.run.get_attribute("data-run") or ""

    def press(self, button: str) -> None:
        """Press a button of the run that is shown: `cut`, `stop` or `again`."""
        self.part(button).click()

    def part(self, part: str) -> Locator:
        """A part of the run that is shown, such as its `connection`."""
        return self.run.locator(f"[data-part={part}]").first

    def wait_state(self, state: str) -> None:
        """Wait until the page is in a state: `idle` once it has loaded."""
        expect(self.page.locator("body")).to_have_attribute("data-state", state)

    def wait_connection(self, state: str) -> None:
        """Wait until the connection of the run that is shown is in a state."""
        expect(self.run).to_have_attribute("data-state", state)

    @property
    def connections(self) -> list[str]:
        """What was said of connections since the page was loaded, in its order."""
        said: list[str] = self.page.evaluate("window.connections")
        return said

    def wait_said(self, word: str) -> None:
        """Wait until something that begins so was said of a connection, be it for a moment."""
        eventually(lambda: any(said.startswith(word) for said in self.connections))

    def wait_end(self, reason: str) -> None:
        """Wait until the run has ended for good, and hold it to its reason."""
        self.wait_connection("ended")
        expect(self.run).to_have_attribute("data-reason", reason)

    @property
    def states(self) -> dict[str, str]:
        """The state of each upstream, in their order."""
        rows = self.part("names").locator("li").all()
        return {_data(row, "upstream"): _data(row, "state") for row in rows}

    def wait_row(self, upstream: str, state: str) -> None:
        """Wait until an upstream is in a state."""
        row = self.part("names").locator(f"[data-upstream={upstream}]")
        expect(row).to_have_attribute("data-state", state)

    def card(self, upstream: str, part: str | None = None) -> Locator:
        """The card of an upstream, or a part of it, such as its `body`."""
        card = self.run.locator(f".card[data-upstream={upstream}]")
        return card.locator(f"[data-part={part}]") if part else card

    def line(self, upstream: str, shape: str) -> Locator:
        """Shapes of an upstream's line in the waterfall, such as `rect.body`."""
        names = self.part("names").locator("li")
        expect(names.and_(self.page.locator(f"[data-upstream={upstream}]"))).to_be_visible()
        groups = self.part("plot").locator("g[data-state]")
        return groups.nth(list(self.states).index(upstream)).locator(shape)

    @property
    def picture(self) -> list[str]:
        """The waterfall as it is drawn: each of its shapes with all its attributes."""
        shapes: list[str] = self.part("plot").evaluate(_READ_PICTURE)
        return shapes

    def wait_picture(self) -> list[str]:
        """Wait until the waterfall of a run that has ended fills its width; return it."""
        expect(self.part("total")).to_be_visible()
        last = self.part("plot").locator(".mark.last")
        eventually(lambda: abs(self.width - _number(last.get_attribute("d"))) < 1)
        return self.picture

    @property
    def width(self) -> float:
        """The pixels that the seconds of the shown run take."""
        width: float = self.part("plot").evaluate("(svg) => svg.clientWidth")
        return width - 24  # the room for the shape at the end

    def hold(self, address: str) -> list[Route]:
        """Return a list to which each request of an address is added, which waits there."""
        held: list[Route] = []

        def hold_one(route: Route) -> None:
            held.append(route)

        self.page.route(address, hold_one)
        return held

    def count_requests(self) -> list[str]:
        """Return a list to which each request from now on adds its method and address.

        The page's own files are left out: a browser asks for the icon whenever it likes.
        """
        asked: list[str] = []

        def receive(request: Request) -> None:
            if "/static/" not in request.url:
                asked.append(f"{request.method} {request.url}")

        self.page.on("request", receive)
        return asked


def written(value: Any) -> str:
    """Write JSON as the server does, without spaces."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _number(text: str | None) -> float:
    """The first number in a text."""
    found = re.search(r"-?[0-9.]+", text or "")
    return float(found[0]) if found else 0.0


def _data(row: Locator, name: str) -> str:
    return row.get_attribute(f"data-{name}") or ""
