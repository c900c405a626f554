"""The page as a browser has to work for it: its long tasks, and when all of a run was drawn."""

from dataclasses import dataclass
from typing import Any

from playwright.sync_api import BrowserContext

from tests.browser import FeedPage

# Tasks of 50 ms and more. The run's end is the moment at which its last state was drawn.
_WATCH = """
window.longTasks = [];
new PerformanceObserver((list) => {
  for (const { startTime, duration } of list.getEntries()) longTasks.push({ startTime, duration });
}).observe({ type: 'longtask', buffered: true });
new MutationObserver(() => {
  if (!document.querySelector('.run:not([hidden])[data-state=ended]')) return;
  const drawn = () => { window.drawnAt = performance.now(); };
  setTimeout(() => requestAnimationFrame(() => setTimeout(drawn)), 50);
}).observe(document, { subtree: true, attributes: true, attributeFilter: ['data-state'] });
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a browser did from a moment on, in milliseconds."""

    tasks: list[float]
    until_drawn: float


class MeasuredPage(FeedPage):
    """A page that is loaded, in a tab of its own, and then measured from `begin` on."""

    def __init__(self, context: BrowserContext, base_url: str) -> None:
        page = context.new_page()
        page.add_init_script(_WATCH)
        super().__init__(page, base_url)

    def begin(self) -> None:
        """Forget all before."""
        self.page.evaluate("() => { window.begunAt = performance.now(); window.drawnAt = null; }")

    def wait_drawn(self) -> Work:
        """Wait until the run has ended and is drawn; say what was done for it."""
        self.page.wait_for_function("() => window.drawnAt", timeout=60_000)
        found: dict[str, Any] = self.page.evaluate(
            """() => ({
              tasks: longTasks
                .filter((it) => it.startTime + it.duration > begunAt)
                .map((it) => it.duration),
              until_drawn: drawnAt - begunAt,
            })"""
        )
        return Work(**found)
