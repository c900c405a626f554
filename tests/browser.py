"""The Chromium that is installed, driven by Playwright, and the page as a person meets it."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

_NAMES = ("chromium", "chromium-browser", "google-chrome")

# No sandbox, as root has none in containers; and nothing that would call home.
_ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]

# Milliseconds. Machines are shared: this only bounds what would else hang.
_TIMEOUT_MS = 15_000


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

    def __init__(self, page: Page, base_url: str) -> None:
        self.page = page
        self.faults: list[str] = []
        page.set_default_timeout(_TIMEOUT_MS)
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("console", lambda message: self._receive_message(message.text))
        page.goto(f"{base_url}/")
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

    def stop(self) -> None:
        """Press Stop."""
        self.page.click("#stop")

    def wait_state(self, state: str) -> None:
        """Wait until the page is in a state."""
        expect(self.page.locator("body")).to_have_attribute("data-state", state)

    def wait_end(self, reason: str) -> None:
        """Wait until the stream has ended for good, and hold it to its reason."""
        self.wait_state("ended")
        expect(self.page.locator("body")).to_have_attribute("data-reason", reason)

    @property
    def run(self) -> str | None:
        """The run that is shown."""
        return self.page.locator("body").get_attribute("data-run")

    @property
    def states(self) -> dict[str, str]:
        """The state of each row, in their order."""
        rows = self.page.locator(".row").all()
        return {_data(row, "upstream"): _data(row, "state") for row in rows}

    def row(self, upstream: str) -> Locator:
        """The row of an upstream."""
        return self.page.locator(f".row[data-upstream={upstream}]")

    def part(self, upstream: str, part: str) -> Locator:
        """A part of a row, such as its `body`."""
        return self.row(upstream).locator(f"[data-part={part}]")

    def wait_row(self, upstream: str, state: str) -> None:
        """Wait until a row is in a state."""
        expect(self.row(upstream)).to_have_attribute("data-state", state)


def _data(row: Locator, name: str) -> str:
    return row.get_attribute(f"data-{name}") or ""
