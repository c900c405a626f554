"""gunicorn's own command: by its configuration here, streams end in order with their worker."""

import importlib.util
import os
import re
import signal
import socket
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest

from streaming import gunicorn_conf
from streaming.core.settings import ServerSettings
from streaming.engine.control import CONTROL_VARIABLE, find_ending
from streaming.gunicorn_hooks import post_fork, pre_fork, worker_int
from streaming.servers import GRACE, IDLE_CONNECTIONS, THREADS_BESIDE_STREAMS
from tests.serving import ROOT, Served, free_port, run_command, serving_command
from tests.upstreams import UpstreamsThread
from tests.viewing import TIMEOUT, Viewer, ask, eventually, watching

NOTED = ROOT / "tests" / "noted"
DRAIN_TIMEOUT = 2.5

CONFIG = f"""
[server]
drain_timeout = {DRAIN_TIMEOUT}
max_streams = 20

[feeds.held.params.key]
[feeds.held.upstreams.a]
url = "${{UPSTREAMS}}/held/{{key}}"

[feeds.detached]
on_disconnect = "detach"
[feeds.detached.params.key]
[feeds.detached.upstreams.a]
url = "${{UPSTREAMS}}/held/{{key}}"
"""

WORKERS = {
    "gthread": ("app_flask:app",),
    "gevent": ("--worker-class", "gevent", "app_flask:app"),
    "asgi": ("--worker-class", "asgi", "app_quart:app"),
}

# An application that brings nothing of fanstream's but its hooks.
OWN = """
from flask import Flask
app = Flask("own")

@app.get("/own")
def own():
    return "own"
"""

# The configuration that docs/servers.md has for such an application.
SNIPPET = re.search(
    r"(?s)```python\n(from streaming\.gunicorn_hooks .*?)```",
    (ROOT / "docs" / "servers.md").read_text(),
)[1]

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("gunicorn") is None and "CI" not in os.environ,
    reason="gunicorn is not installed",
)


@pytest.fixture(scope="module")
def upstreams() -> Iterator[UpstreamsThread]:
    with UpstreamsThread() as running:
        yield running


@pytest.fixture(params=list(WORKERS))
def worker(request) -> str:
    is_missing = request.param == "gevent" and importlib.util.find_spec("gevent") is None
    if is_missing and "CI" not in os.environ:
        pytest.skip("gevent is not installed")
    return request.param


@pytest.fixture
def key() -> str:
    return uuid4().hex


@contextmanager
def gunicorn(
    worker: str,
    upstreams: UpstreamsThread,
    folder: Path,
    *,
    options: Sequence[str] = (),
    config: str = CONFIG,
) -> Iterator[Served]:
    """Run gunicorn's own command, with this repository's configuration of it."""
    port = free_port()
    (folder / "feeds.toml").write_text(config)
    (folder / "notes").touch()
    env = {
        "UPSTREAMS": upstreams.base_url,
        "FANSTREAM_CONFIG": str(folder / "feeds.toml"),
        "NOTES": str(folder / "notes"),
    }
    command = ["-m", "gunicorn", "--config", str(ROOT / "gunicorn.conf.py"), "--no-control-socket"]
    command += ["--bind", f"127.0.0.1:{port}", *options, *WORKERS[worker]]
    with serving_command(*command, port=port, folder=folder, env=env, cwd=NOTED) as served:
        yield served


def notes(folder: Path) -> Counter[str]:
    return Counter((folder / "notes").read_text().split())


def open_streams(stack: ExitStack, served: Served, paths: Sequence[str]) -> list[Viewer]:
    """Open a stream for each path, and read its first event."""
    viewers = [stack.enter_context(watching(served.base_url, path)) for path in paths]
    for viewer in viewers:
        next(viewer)
    return viewers


def last_words(viewers: list[Viewer]) -> list[tuple[str, str]]:
    """Read all streams to their ends; say the last event of each, and its reason."""
    ends = [viewer.rest()[-1] for viewer in viewers]
    return [(end.event, end.data["reason"]) for end in ends]


def test_streams_end_in_order_at_a_signal(worker, upstreams, tmp_path):
    """Ten of them, on time: last words, ends of bodies, of calls, of views and of requests."""
    held = [f"/feeds/held?key={uuid4().hex}" for _ in range(6)]
    with gunicorn(worker, upstreams, tmp_path) as served, ExitStack() as stack:
        viewers = open_streams(stack, served, [*held, "/plain", "/plain", "/async", "/async"])
        told = time.monotonic()
        served.signal()
        ends = Counter(last_words(viewers))
        assert served.wait() == 0
        assert time.monotonic() - told < DRAIN_TIMEOUT + 2
    assert ends == {("done", "shutdown"): 6, ("shutdown", "drain"): 4}
    noted = notes(tmp_path)
    assert (noted["plain"], noted["async"]) == (2, 2)
    # Once for each request, the first being that for which the start waits; in Flask the views'
    # are torn down after their bodies as well.
    assert noted["request"] == (11 if worker == "asgi" else 15)
    upstreams.wait_idle()
    assert "Traceback" not in served.log()


def test_a_run_may_finish_while_its_worker_ends(worker, upstreams, key, tmp_path):
    """Also one that nobody views, in the time that a drain has."""
    with gunicorn(worker, upstreams, tmp_path) as served, ExitStack() as stack:
        ask(served.base_url, "/feeds/detached", method="POST", json={"key": key})
        upstreams.wait_calls(f"/held/{key}")
        viewers = open_streams(stack, served, ["/async"])
        served.signal()
        assert last_words(viewers) == [("shutdown", "drain")]
        # The last request has ended: nothing but the run keeps the worker.
        eventually(lambda: notes(tmp_path)["async"])
        ask(upstreams.base_url, f"/release/{key}")
        assert served.wait() == 0
    assert "feed=detached" in served.log()
    assert "reason=finished ok=1" in served.log()


def test_ctrl_c_ends_at_once_and_in_order(worker, upstreams, tmp_path):
    """As the first signal: no run is waited for, and all that ends is told and closed."""
    config = CONFIG.replace(f"drain_timeout = {DRAIN_TIMEOUT}", "drain_timeout = 60.0")
    held = [f"/feeds/held?key={uuid4().hex}" for _ in range(2)]
    with gunicorn(worker, upstreams, tmp_path, config=config) as served, ExitStack() as stack:
        viewers = open_streams(stack, served, [*held, "/plain", "/async"])
        told = time.monotonic()
        served.interrupt()
        ends = Counter(last_words(viewers))
        assert served.wait() == 0
    assert time.monotonic() - told < 10
    assert ends == {("done", "shutdown"): 2, ("shutdown", "drain"): 2}
    noted = notes(tmp_path)
    assert (noted["plain"], noted["async"]) == (1, 1)
    assert noted["request"] == (5 if worker == "asgi" else 7)
    upstreams.wait_idle()
    assert "Traceback" not in served.log()


def test_sigquit_ends_in_order_beside_a_silent_client(worker, upstreams, tmp_path):
    """Who says nothing is not waited for, and does not keep the views from their ends."""
    with gunicorn(worker, upstreams, tmp_path) as served, ExitStack() as stack:
        viewers = open_streams(stack, served, ["/async"])
        stack.enter_context(socket.create_connection(("127.0.0.1", served.port), timeout=10.0))
        told = time.monotonic()
        served.signal(signal.SIGQUIT)
        assert last_words(viewers) == [("shutdown", "drain")]
        assert served.wait() == 0
    assert time.monotonic() - told < 10
    assert notes(tmp_path)["async"] == 1


def test_ctrl_c_after_a_signal_ends_at_once(worker, upstreams, key, tmp_path):
    """Long before the time that streams have; gunicorn itself allows 2 s for it."""
    config = CONFIG.replace(f"drain_timeout = {DRAIN_TIMEOUT}", "drain_timeout = 60.0")
    with gunicorn(worker, upstreams, tmp_path, config=config) as served, ExitStack() as stack:
        held = open_streams(stack, served, [f"/feeds/held?key={key}"])
        own = open_streams(stack, served, ["/async"])
        served.signal()
        # So that the second does not come before the first was heeded.
        assert last_words(own) == [("shutdown", "drain")]
        told = time.monotonic()
        served.signal(signal.SIGINT)
        assert last_words(held) == [("done", "shutdown")]
        assert served.wait() == 0
    assert time.monotonic() - told < 10
    upstreams.wait_idle()


def test_a_worker_that_is_replaced_says_the_last_words(worker, upstreams, tmp_path):
    """At `max_requests` its streams end in order, and the next worker serves."""
    options = ["--max-requests", "5"]
    held = [f"/feeds/held?key={uuid4().hex}" for _ in range(2)]
    with gunicorn(worker, upstreams, tmp_path, options=options) as served, ExitStack() as stack:
        before = ask(served.base_url, "/pid").text
        viewers = open_streams(stack, served, [*held, "/async"])
        for _ in range(3):
            # The worker that ends takes no more; what has come meanwhile waits for the next, which
            # starts only after the whole drain.
            ask(served.base_url, "/healthz", timeout=3 * TIMEOUT)
        ends = Counter(last_words(viewers))
        eventually(lambda: ask(served.base_url, "/pid").text != before)
    assert ends == {("done", "shutdown"): 2, ("shutdown", "drain"): 1}
    assert notes(tmp_path)["async"] == 1


def test_who_has_just_come_is_answered_by_a_worker_that_ends(upstreams, tmp_path):
    """It was accepted before its request was there, and is not reset for that."""
    options = ["--max-requests", "3"]
    with gunicorn("gthread", upstreams, tmp_path, options=options) as served, ExitStack() as stack:
        viewers = open_streams(stack, served, ["/async"])
        # It ends with this one, which it may refuse for that.
        stack.enter_context(watching(served.base_url, "/async"))
        address = ("127.0.0.1", served.port)
        connection = stack.enter_context(socket.create_connection(address, timeout=TIMEOUT))
        # What the worker has of it until then is nothing.
        time.sleep(0.2)
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n")
        assert connection.recv(1000).startswith(b"HTTP/1.1 200 ")
        assert last_words(viewers) == [("shutdown", "drain")]


@pytest.mark.parametrize("worker", ["gthread", "asgi"])
def test_a_reload_hands_over(worker, upstreams, key, tmp_path):
    """At SIGHUP another worker serves at once, while the streams of the old one end in order."""
    with gunicorn(worker, upstreams, tmp_path) as served, ExitStack() as stack:
        before = ask(served.base_url, "/pid").text
        viewers = open_streams(stack, served, [f"/feeds/held?key={key}", "/async"])
        served.signal(signal.SIGHUP)
        assert last_words(viewers[1:]) == [("shutdown", "drain")]
        eventually(lambda: ask(served.base_url, "/pid").text != before)
        assert last_words(viewers[:1]) == [("done", "shutdown")]
        assert served.process.poll() is None


def test_threads_bound_the_streams(upstreams, tmp_path):
    """The application knows the worker's threads without being told: of nine, one is a stream's."""
    options = ["--threads", "9"]
    with gunicorn("gthread", upstreams, tmp_path, options=options) as served, ExitStack() as stack:
        open_streams(stack, served, ["/async"])
        refused = ask(served.base_url, "/async")
    assert (refused.status_code, refused.json()["max_streams"]) == (503, 1)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--workers", "2", "app_flask:app"], "memory:"),
        (["--worker-class", "sync", "--threads", "1", "app_flask:app"], "sync"),
        (["--worker-class", "asgi", "app_flask:app"], "use -k gthread or gevent"),
        (["app_quart:app"], "use -k asgi"),
        (["--worker-class", "gevent", "app_quart:create()"], "use -k asgi"),
    ],
)
def test_what_could_not_serve_does_not_start(options, reason, tmp_path):
    """A sentence, no traceback, and the status of a wrong command."""
    command = ["-m", "gunicorn", "-c", "python:streaming.gunicorn_conf"]
    ended = run_command(*command, "--bind", f"127.0.0.1:{free_port()}", *options)
    assert (ended.returncode, reason in ended.stderr) == (2, True)
    assert "Traceback" not in ended.stderr


def test_a_mistake_in_the_feeds_is_a_sentence(tmp_path):
    """As where `fanstream serve` reads them."""
    (tmp_path / "feeds.toml").write_text("[feeds.one]\nlinger = 'long'")
    env = {"FANSTREAM_CONFIG": str(tmp_path / "feeds.toml")}
    ended = run_command("-m", "gunicorn", "--check-config", "app_flask:app", env=env)
    assert (ended.returncode, "feeds.one.linger" in ended.stderr) == (2, True)
    assert "Traceback" not in ended.stderr


def test_too_short_a_time_warns(upstreams, tmp_path):
    """An option that goes before the configuration may cut streams off; it is taken, and said."""
    options = ["--graceful-timeout", "1"]
    with gunicorn("gthread", upstreams, tmp_path, options=options) as served:
        assert "warning: graceful_timeout is 1 s" in served.log()


@pytest.mark.parametrize(
    ("host", "auth", "warns"),
    [("0.0.0.0", "", True), ("0.0.0.0", "[auth]\njwt_secret = '%s'" % ("s" * 32), False)],
)
def test_listening_beyond_loopback_warns(upstreams, tmp_path, host, auth, warns):
    """As `fanstream serve` does, where nobody is asked for a token."""
    config = f"{CONFIG}\n{auth}"
    options = ["--bind", f"{host}:{free_port()}"]
    with gunicorn("gthread", upstreams, tmp_path, options=options, config=config) as served:
        said = served.log()
    assert (f"warning: {host} is open to others" in said) == warns
    assert "127.0.0.1 is open" not in said


def test_a_parent_goes_before(monkeypatch):
    """Under `fanstream serve` it is the parent alone that says when to drain."""
    monkeypatch.setenv(CONTROL_VARIABLE, "/nowhere")
    worker = SimpleNamespace(alive=False, cfg=SimpleNamespace(worker_class_str="gevent"))
    post_fork(None, worker)
    worker_int(worker)
    assert find_ending() is None


def test_no_token_is_in_the_access_log(tmp_path):
    """Of an application of one's own, which says nothing of logs and takes the hooks alone."""
    port = free_port()
    (tmp_path / "own.py").write_text(OWN)
    (tmp_path / "gunicorn.conf.py").write_text(SNIPPET)
    command = ["-m", "gunicorn", "--bind", f"127.0.0.1:{port}", "--access-logfile", "-"]
    command += ["--no-control-socket", "own:app"]
    with serving_command(*command, port=port, folder=tmp_path, cwd=tmp_path) as served:
        assert ask(served.base_url, "/own?access_token=pr1vate&x=1").status_code == 200
        eventually(lambda: "GET /own?access_token=…&x=1 " in served.log())
    assert "pr1vate" not in served.log()


def test_the_documented_configuration_is_this_one(monkeypatch):
    """What docs/servers.md has people write themselves says the same, for the defaults."""
    documented: dict[str, Any] = {}
    exec(SNIPPET, documented)
    server = ServerSettings()
    threads = server.max_streams + THREADS_BESIDE_STREAMS
    wanted = {
        "worker_class": gunicorn_conf.worker_class,
        "threads": threads,
        "worker_connections": threads + IDLE_CONNECTIONS,
        "graceful_timeout": server.drain_timeout + GRACE,
        "limit_request_line": gunicorn_conf.limit_request_line,
        "loglevel": gunicorn_conf.loglevel,
    }
    assert wanted.items() <= documented.items()
    assert all(documented[hook.__name__] is hook for hook in (post_fork, pre_fork, worker_int))


def test_each_setting_is_one_of_gunicorns():
    """What the configuration says has its effect, and nothing is set by accident."""
    gunicorn_config = pytest.importorskip("gunicorn.config")
    known = gunicorn_config.make_settings().keys() & vars(gunicorn_conf).keys()
    assert known == set(gunicorn_conf.__all__)
