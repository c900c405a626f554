"""How long the page keeps a browser busy: `page`, with what comes as fast as it can.

The server, the upstreams and a headless Chromium, which draws by software, share two cores. A task
is long from 50 ms on, as `PerformanceObserver` tells; loading the page is not counted.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from playwright.sync_api import Browser, Error

from benchmarks import report, suite
from benchmarks.contender import Cores
from benchmarks.results import Results, Round
from benchmarks.workloads import Column
from tests.browser import chromium
from tests.page.fast_upstream import LOAD, FastUpstream
from tests.page.measured_page import MeasuredPage, Work
from tests.serving import Served, serving

NAME = "page"
ROUNDS = 5

NOTE = (
    "`live`: from the press of the button; `replay`: the ended run, shown by a page that is loaded;"
    " `elements`: of the page in the end."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PageCase:
    """A feed of `LOAD`; see `benchmarks.report.Case`."""

    name: str
    title: str
    columns: tuple[Column, ...] = (
        Column(figure="longest_ms", head="longest task, ms"),
        Column(figure="long_tasks", head="long tasks"),
        Column(figure="drawn_ms", head="until all is drawn, ms"),
        Column(figure="elements", head="elements"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How the page comes to a run."""

    name: str


LIVE, REPLAY = Way(name="live"), Way(name="replay")

CASES = (
    PageCase(name="many", title="100 upstreams, an answer each"),
    PageCase(name="tokens", title="10,000 chunks of one token stream"),
    PageCase(name="lines", title="10,000 chunks of 100 upstreams"),
    PageCase(name="big", title="a JSON body of 1 MiB"),
)


def run(*, rounds: int, cores: Cores) -> Results:
    results = suite.begin(NAME, contenders=(), cores=cores)
    with chromium() as browser, _served() as served:
        results.versions["Chromium"] = browser.version
        for n, case in product(range(rounds), CASES):
            where = f"{NAME} {case.name} {n + 1}/{rounds}"
            try:
                measured = _measure(browser, served, case.name)
            except (Error, AssertionError) as exc:
                measured = {LIVE: {"failed": str(exc)[:300]}}
            for way, round_ in measured.items():
                results.add(case.name, way.name, round_)
                suite.tell(where, case, way, round_)
    return results


@contextmanager
def _served() -> Iterator[Served]:
    with FastUpstream() as upstream, tempfile.TemporaryDirectory() as folder:
        upstream.is_released.set()
        env = {"UPSTREAMS": upstream.base_url}
        with serving("quart", LOAD, folder=Path(folder), env=env) as served:
            yield served


def _measure(browser: Browser, served: Served, feed: str) -> dict[Way, Round]:
    with browser.new_context() as context:
        page = MeasuredPage(context, served.base_url)
        page.begin()
        page.start(feed)
        live = _figures(page, page.wait_drawn())
        run = page.run_id
    with browser.new_context() as context:
        page = MeasuredPage(context, served.base_url)
        page.begin()
        page.follow(run)
        return {LIVE: live, REPLAY: _figures(page, page.wait_drawn())}


def _figures(page: MeasuredPage, work: Work) -> Round:
    return {
        "longest_ms": max(work.tasks, default=0.0),
        "long_tasks": len(work.tasks),
        "drawn_ms": work.until_drawn,
        "elements": page.page.evaluate("document.querySelectorAll('*').length"),
    }


def document(results: Results) -> str:
    cases = [case for case in CASES if case.name in results.measured]
    return report.page(results, *(report.case_table(case, results) for case in cases), NOTE)
