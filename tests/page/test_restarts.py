"""The page while its server is killed, or told to end, and started again on the same port."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser import FeedPage
from tests.processes.member import Member
from tests.redis_server import redis_serving

CONFIG = """
[server]
retry_ms = 100
drain_timeout = 1.0

[feeds.both]
upstreams.quick = { url = "${UPSTREAMS}/quick", retries = 0 }
upstreams.slow = { url = "${UPSTREAMS}/slow", retries = 0 }
"""

# Milliseconds. A run that was killed with its server is taken over once its lease of 5 s has ended.
TAKEOVER_TIMEOUT = 40_000


@pytest.fixture
def start(app, browser, upstreams, tmp_path) -> Iterator[Callable[..., Member]]:
    """Start a server with some more configuration."""
    members: list[Member] = []

    def start(more: str = "") -> Member:
        config = Path(tmp_path, "feeds.toml")
        config.write_text(CONFIG + more)
        env = {"UPSTREAMS": upstreams.base_url}
        members.append(Member(app, config=config, folder=tmp_path, env=env))
        members[-1].start()
        return members[-1]

    yield start
    for member in members:
        member.stop()


@pytest.fixture
def server(start) -> Member:
    """A server whose log is in its memory."""
    return start()


@pytest.fixture
def lasting(start, tmp_path) -> Iterator[Member]:
    """A server whose log is in a Redis, which outlives it."""
    with redis_serving(tmp_path) as redis:
        member = start(f'[log]\nurl = "{redis.url}"\n')
        yield member
        member.stop()


@pytest.fixture
def open_page(browser, upstreams) -> Iterator[Callable[[Member], FeedPage]]:
    """Open the page of a server, with a run whose first upstream has answered."""
    with browser.new_context() as context:

        def open_page(member: Member) -> FeedPage:
            page = FeedPage(context.new_page(), member.base_url)
            page.start("both")
            upstreams.answer("quick", json.dumps("quick's answer"))
            page.wait_row("quick", "result")
            upstreams.wait_target("slow")
            return page

        yield open_page


def drain(member: Member) -> None:
    """End a server in order, and start it again."""
    member.begin_drain()
    member.wait_end()
    member.start()


def check_whole(page: FeedPage, run: str) -> None:
    """See that a run has finished with both answers, each shown once."""
    expect(page.run).to_have_attribute("data-state", "ended", timeout=TAKEOVER_TIMEOUT)
    page.wait_end("finished")
    assert page.run_id == run
    expect(page.part("total")).to_contain_text("2 ok")
    expect(page.run.locator(".card")).to_have_count(2)


def test_killed_server_has_lost_the_run(server, open_page):
    """After a kill the page says that the run is lost, and keeps what had come."""
    page = open_page(server)
    server.kill()
    page.wait_connection("resuming")
    server.start()
    page.wait_end("lost")
    expect(page.part("notice")).to_contain_text("lost")
    expect(page.card("quick", "body")).to_contain_text("quick's answer")
    expect(page.part("names").locator("[data-state=lost]").first).to_be_visible()


def test_lost_run_can_be_run_again(server, open_page, upstreams):
    """Run again makes a new run of what was lost, and shows it."""
    page = open_page(server)
    lost = page.run_id
    server.kill()
    server.start()
    page.wait_end("lost")
    page.press("again")
    expect(page.run).not_to_have_attribute("data-run", lost)
    upstreams.wait_target("slow", 2)
    page.wait_connection("open")


def test_lost_run_is_lost_in_all_tabs(server, open_page):
    """A tab that is told by another says the same as that."""
    page = open_page(server)
    other = FeedPage(page.page.context.new_page(), server.base_url)
    other.follow(page.run_id)
    expect(other.part("connection")).to_contain_text("read by another tab")
    server.kill()
    server.start()
    page.wait_end("lost")
    other.wait_end("lost")


def test_drained_server_ends_the_run(server, open_page):
    """A server that ends in order says so of its runs, in words that a person understands."""
    page = open_page(server)
    drain(server)
    page.wait_end("shutdown")
    expect(page.part("notice")).to_contain_text("The server has ended")


def test_drained_run_can_be_run_again(server, open_page, upstreams):
    """Run again works once there is a server."""
    page = open_page(server)
    drain(server)
    page.wait_end("shutdown")
    page.press("again")
    upstreams.wait_target("slow", 2)
    page.wait_connection("open")


def test_killed_server_resumes_from_redis(lasting, open_page, upstreams):
    """The run goes on where its log outlives the server, with nothing lost or repeated."""
    page = open_page(lasting)
    run = page.run_id
    lasting.kill()
    page.wait_connection("resuming")
    lasting.start()
    upstreams.wait_target("slow", 2)
    for _ in "killed", "next":
        upstreams.answer("slow", "2")
    check_whole(page, run)
    assert upstreams.targets["quick"] == 1


def test_drained_server_resumes_from_redis(lasting, open_page, upstreams):
    """A server that ends in order hands the run over, and the page sees its end."""
    page = open_page(lasting)
    run = page.run_id
    drain(lasting)
    upstreams.wait_target("slow", 2)
    for _ in "killed", "next":
        upstreams.answer("slow", "2")
    check_whole(page, run)
    assert upstreams.targets["quick"] == 1


def test_drain_is_shown(lasting, open_page):
    """A server that is about to end in order has said so, and the page shows it."""
    page = open_page(lasting)
    lasting.begin_drain()
    page.wait_said("draining")
    lasting.wait_end()
