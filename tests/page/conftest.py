"""The page in a real browser, on both applications and their default servers.

Its upstreams answer only when a test lets them: what is on the page by then has been pushed, one
answer at a time. A browser is a running loop to its thread, so that it ends with its module: other
tests run loops of their own.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from playwright.sync_api import Browser, Page

from tests.browser import FeedPage, chromium
from tests.gated_upstream import GatedUpstream
from tests.relay import Relay
from tests.serving import Served, serving

CONFIG = """
[server]
retry_ms = 100

[feeds.three]
title = "Three at once"
upstreams.one = { url = "${UPSTREAMS}/one", retries = 0 }
upstreams.two = { url = "${UPSTREAMS}/two", retries = 0 }
upstreams.three = { url = "${UPSTREAMS}/three", retries = 0 }

[feeds.flaky]
upstreams.rates = { url = "${UPSTREAMS}/rates", retries = 1, backoff = 0.01 }

[feeds.answer]
upstreams.tokens = { url = "${UPSTREAMS}/tokens", read = "sse", retries = 0 }

[feeds.one]
upstreams.one = { url = "${UPSTREAMS}/one", retries = 0 }

[feeds.kinds]
upstreams.tree = { url = "${UPSTREAMS}/tree", retries = 0 }
upstreams.text = { url = "${UPSTREAMS}/text", read = "text", retries = 0 }
upstreams.picture = { url = "${UPSTREAMS}/picture", read = "bytes", retries = 0 }

[feeds.typed]
params.city = { label = "Which city?", default = "Paris", pattern = '[^\\d]+' }
params.whole = { type = "integer", default = 12345678901234567890 }
params.ratio = { type = "number", default = 1.5 }
params.loud = { type = "boolean", default = true }
params.needed = { pattern = "[a-z]+" }
upstreams.typed.url = "${UPSTREAMS}/typed?{city}&{whole}&{ratio}&{loud}&{needed}"
upstreams.typed.retries = 0

[feeds.said]
title = "<b>Said</b><script>window.hurt = 1</script>"
params.what = { label = "<i>What</i>", max_length = 1000 }
params.n = { pattern = '\\d+', default = "1", max_length = 1000 }
upstreams.whole = { url = "${UPSTREAMS}/whole?what={what}&n={n}", read = "text", retries = 0 }
upstreams.lines = { url = "${UPSTREAMS}/lines", read = "lines", retries = 0 }
upstreams.events = { url = "${UPSTREAMS}/events", read = "sse", retries = 0 }
upstreams.objects = { url = "${UPSTREAMS}/objects", read = "ndjson", retries = 0 }
upstreams.json = { url = "${UPSTREAMS}/json", retries = 0 }

# Runs that go on while nobody looks.
""" + "".join(
    f"""
[feeds.go{n}]
on_disconnect = "detach"
upstreams.go{n} = {{ url = "${{UPSTREAMS}}/go{n}", read = "lines", retries = 0 }}
"""
    for n in range(1, 6)
)

Serve = Callable[[str], Served]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def gates() -> Iterator[GatedUpstream]:
    with GatedUpstream() as gates:
        yield gates


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Try both applications, and one where only the browser can be at fault: a module's `APPS`."""
    if "app" in metafunc.fixturenames:
        apps = getattr(metafunc.module, "APPS", ["quart", "flask"])
        metafunc.parametrize("app", apps, scope="module")


@pytest.fixture(scope="module")
def serve(app, tmp_path_factory, browser, gates) -> Iterator[Serve]:
    """Starts an application on a configuration, once for all tests that ask for the same.

    The browser is asked for before, as without one nothing need be started.
    """
    folder = tmp_path_factory.mktemp(app)
    env = {"UPSTREAMS": gates.base_url}
    running = dict[str, Served]()
    with ExitStack() as stack:

        def started(config: str) -> Served:
            if config not in running:
                context = serving(app, config, folder=folder, env=env)
                running[config] = stack.enter_context(context)
            return running[config]

        yield started
        for served in running.values():
            assert "ERROR" not in served.log()
            assert "Traceback" not in served.log()


@pytest.fixture
def config() -> str:
    """What is served; a module may have one of its own."""
    return CONFIG


@pytest.fixture
def served(serve, config) -> Served:
    return serve(config)


@pytest.fixture
def upstreams(gates) -> Iterator[GatedUpstream]:
    """The gates, of which each test finds and leaves none called."""
    yield gates
    gates.reset()


@pytest.fixture
def relay(served) -> Iterator[Relay]:
    with Relay(served.port) as relay:
        yield relay


@pytest.fixture(scope="module")
def tab(browser) -> Iterator[Page]:
    """One tab for all tests: another would cost a process of the browser for each."""
    with browser.new_context() as context:
        yield context.new_page()


@pytest.fixture
def open_page(tab, relay, upstreams) -> Iterator[Callable[..., FeedPage]]:
    """Opens the page at a path, in one browser and in tabs of their own; its network can be cut.

    What its scripts raise and its policy refuses fails the test. The browser has forgotten the
    page by the next one.
    """
    pages = list[FeedPage]()

    def opened(path: str = "/") -> FeedPage:
        used = tab.context.new_page() if pages else tab
        pages.append(FeedPage(used, relay.base_url, path))
        return pages[-1]

    yield opened
    for page in pages[1:]:
        page.page.close()
    tab.unroute_all()
    tab.goto("about:blank")
    forgotten = {"origin": relay.base_url, "storageTypes": "all"}
    tab.context.new_cdp_session(tab).send("Storage.clearDataForOrigin", forgotten)
    tab.context.clear_permissions()
    assert [page.faults for page in pages if page.faults] == []


@pytest.fixture
def page(open_page) -> FeedPage:
    return open_page()
