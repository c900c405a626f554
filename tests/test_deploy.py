"""The files of deploy/, run as they stand there: Redis, three processes, and nginx before them.

The fourth process that they name is not started: nobody may notice, beyond what nginx writes down.
"""

import shlex
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from uuid import uuid4

import httpx
import pytest

from tests.deploying import (
    HTTPS_PORT,
    NGINX,
    PORTS,
    README,
    REDIS,
    Deployment,
    ask,
    asking,
    deployed,
    flask,
    quart,
    watching,
)
from tests.programs import find_program
from tests.serving import LOOPBACK
from tests.upstreams import UpstreamsThread
from tests.viewing import Seen, eventually
from tests.viewing import ask as ask_directly

ONE, TWO, THREE, MISSING = PORTS

SECRET = "a-token-that-nobody-may-read"


@pytest.fixture(scope="module")
def upstreams() -> Iterator[UpstreamsThread]:
    with UpstreamsThread() as running:
        yield running


@pytest.fixture(scope="module")
def deployment(upstreams, tmp_path_factory) -> Iterator[Deployment]:
    """All of it, with upstreams that answer when a test says so."""
    variables = {
        "WEATHER_URL": f"{upstreams.base_url}/held",
        "NEWS_URL": f"{upstreams.base_url}/held-stream",
    }
    root = tmp_path_factory.mktemp("machine")
    units = (REDIS, quart(ONE), quart(TWO), flask(THREE), NGINX)
    with deployed(root, *units, variables=variables) as running:
        yield running


@pytest.fixture
def city() -> str:
    """A parameter that no other test gives: the gate of both upstreams."""
    return uuid4().hex


def release(upstreams: UpstreamsThread, city: str) -> None:
    ask_directly(upstreams.base_url, f"/release/{city}")


def test_events_come_one_by_one(deployment, upstreams, city):
    """Over HTTP/2 and TLS each event is there before the next is sent, and all once."""
    with watching(deployment, f"/feeds/city?city={city}") as viewer:
        first = [viewer.until("start"), viewer.until("chunk", data="first")]
        release(upstreams, city)
        seen = first + viewer.rest()
    assert [it.n for it in seen] == list(range(1, len(seen) + 1))
    assert seen[-1].data["ok"] == 2


@contextmanager
def curling(city: str) -> Iterator[Iterator[bytes]]:
    """Watch a feed by the command of the README; gives the lines as they come, for half a minute.

    It reads on behind a GOAWAY, by which nginx says that it takes no more requests; httpx does not.
    """
    line = next(line for line in README.splitlines() if line.startswith("curl -N"))
    command = shlex.split(line.replace("city=Oslo", f"city={city}"))
    command[0] = find_program("curl")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as curl:
        watchdog = threading.Timer(30.0, curl.kill)
        watchdog.start()
        try:
            assert curl.stdout is not None
            yield iter(curl.stdout.readline, b"")
        finally:
            watchdog.cancel()
            curl.kill()


def test_curl_sees_them_come(deployment, upstreams, city):
    """The command of the README shows each event when it is there."""
    with curling(city) as lines:
        assert any(b'"data":"first"' in line for line in lines)
        release(upstreams, city)
        assert b"event: done\n" in lines


def test_another_process_goes_on_behind_the_last_event(deployment, upstreams, city):
    """With `Last-Event-ID` each process gives what follows, and nothing twice."""
    path = "/feeds/city"
    with watching(deployment, path, params={"city": city}) as viewer:
        last = viewer.until("chunk", data="first")
    release(upstreams, city)
    run = last.id.rpartition("-")[0]
    ends = set()
    for _ in range(6):
        headers = {"Last-Event-ID": last.id}
        with watching(deployment, path, params={"city": city}, headers=headers) as viewer:
            seen = viewer.rest()
        assert [it.n for it in seen] == list(range(last.n + 1, last.n + 1 + len(seen)))
        ends.add(seen[-1].id)
        # What is whole in the log by now is read by its own path as well.
        with watching(deployment, f"/runs/{run}", headers=headers) as viewer:
            assert viewer.rest()[-1].id == seen[-1].id
    assert len(ends) == 1
    answered = {ports[-1] for ports in deployment.accesses(f"/runs/{run}")}
    assert answered == {str(port) for port in (ONE, TWO, THREE)}


def test_whoever_has_seen_all_is_told_so(deployment, upstreams, city):
    """A browser that comes back behind `done` gets its 204, through nginx too."""
    release(upstreams, city)
    with watching(deployment, f"/feeds/city?city={city}") as viewer:
        done = viewer.until("done")
    answer = ask(deployment, f"/feeds/city?city={city}", headers={"Last-Event-ID": done.id})
    assert answer.status_code == 204


def test_a_viewer_that_leaves_is_let_go(deployment, upstreams, city):
    """nginx closes its side as well, long before a beat would tell: the request ends in its log."""
    with watching(deployment, f"/feeds/city?city={city}") as viewer:
        run = viewer.until("start").data["run"]
    with watching(deployment, f"/runs/{run}") as viewer:
        viewer.until("chunk", data="first")
        assert deployment.accesses(f"/runs/{run}") == []
    left = time.monotonic()
    eventually(lambda: deployment.accesses(f"/runs/{run}"))
    assert time.monotonic() - left < 5.0
    release(upstreams, city)


def test_all_of_the_interface_is_there(deployment, upstreams, city):
    """The page, the description, a POST with its `Location`, and its end by DELETE."""
    for path in ("/", "/static/app.js", "/feeds", "/openapi.json", "/healthz", "/readyz"):
        assert ask(deployment, path).status_code == 200, path
    made = ask(deployment, "/feeds/city", method="POST", json={"city": city})
    assert made.status_code == 201
    run = made.json()["run"]
    assert made.headers["Location"] == f"../runs/{run}"
    assert ask(deployment, f"/runs/{run}", method="DELETE").status_code == 204


@pytest.mark.parametrize(
    ("origin", "status"),
    [(f"https://{LOOPBACK}:{HTTPS_PORT}", 201), ("https://other.example", 403)],
)
def test_a_page_of_this_host_may_start_runs(deployment, upstreams, city, origin, status):
    """`Host` reaches the processes with its port, so that the page's origin is its own."""
    release(upstreams, city)
    headers = {"Origin": origin}
    answer = ask(deployment, "/feeds/city", method="POST", json={"city": city}, headers=headers)
    assert answer.status_code == status


def test_long_tokens_and_bodies_reach_the_processes(deployment):
    """What fanstream bounds itself is not refused by nginx before: its problem is the answer."""
    headers = {"Authorization": f"Bearer {'t' * 8192}"}
    # Over HTTP/1.1, where nginx bounds each field; gunicorn does at 8190 bytes.
    with asking(deployment, http2=False) as client:
        statuses = {client.get("/feeds", headers=headers).status_code for _ in range(6)}
    assert statuses == {200, 431}
    body = b"[" + b" " * 1_100_000
    answer = ask(
        *(deployment, "/feeds/city"),
        method="POST",
        content=body,
        headers={"Content-Type": "application/json"},
    )
    assert answer.status_code == 413
    assert answer.json()["type"] == "urn:fanstream:body-too-large"


class Breaking:
    """A process that reads requests, and breaks off or says 503; on the port of the missing one.

    Args:
        answer: What it says to each; nothing: it breaks off.
    """

    def __init__(self, answer: bytes = b"") -> None:
        self.seen: list[bytes] = []
        self._answer = answer

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take requests for the block."""
        with socket.create_server((LOOPBACK, MISSING)) as server:
            thread = threading.Thread(target=self._serve, args=(server,))
            thread.start()
            try:
                yield
            finally:
                # Wakes the thread, which a close would not.
                server.shutdown(socket.SHUT_RDWR)
                thread.join()

    def _serve(self, server: socket.socket) -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(5.0)
                self.seen.append(connection.recv(65536))
                connection.sendall(self._answer)


UNAVAILABLE = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize("answer", [b"", UNAVAILABLE], ids=["broken", "503"])
def test_a_get_is_taken_elsewhere(deployment, answer):
    """Where a process breaks off or has no room, another answers, and no client can tell."""
    breaking = Breaking(answer)
    with breaking.listening():
        statuses = {ask(deployment, "/feeds").status_code for _ in range(12)}
    assert breaking.seen
    assert statuses == {200}


@pytest.mark.parametrize("answer", [b"", UNAVAILABLE], ids=["broken", "503"])
def test_a_post_is_never_sent_twice(deployment, upstreams, answer):
    """Whoever sent it is told that it failed: nobody starts a run that may have begun."""
    breaking = Breaking(answer)
    cities = [uuid4().hex for _ in range(12)]
    for city in cities:
        release(upstreams, city)
    with breaking.listening():
        statuses = Counter(
            ask(deployment, "/feeds/city", method="POST", json={"city": city}).status_code
            for city in cities
        )
    assert breaking.seen
    assert statuses == {503 if answer else 502: len(breaking.seen), 201: 12 - len(breaking.seen)}
    started = statuses[201]
    eventually(lambda: sum(upstreams.calls[f"/held/{city}"] for city in cities) == started)


def test_nothing_is_written_down_of_a_query(deployment):
    """Tokens are in no log of nginx, also where a process fails to answer who sent one."""
    path = f"/feeds?access_token={SECRET}"
    breaking = Breaking()
    with breaking.listening():
        for _ in range(12):
            ask(deployment, path, headers={"Referer": f"https://{LOOPBACK}{path}"})
    assert breaking.seen
    logs = deployment.log(NGINX) + deployment.access_log()
    assert '"/feeds" HTTP/2.0 200' in logs
    assert SECRET not in logs


def test_a_reload_keeps_the_streams(deployment, upstreams, city):
    """New workers take what comes, and the old one goes on with the stream that it has."""
    workers = deployment.descendants(NGINX)
    with curling(city) as lines:
        assert any(b'"data":"first"' in line for line in lines)
        deployment.reload(NGINX)
        # Until they are told, the old ones take connections too, and end them.
        eventually(lambda: len(workers & deployment.descendants(NGINX)) == 1)
        assert ask(deployment, "/readyz").status_code == 200
        release(upstreams, city)
        assert b"event: done\n" in lines
    eventually(lambda: not workers & deployment.descendants(NGINX))


# What a stream says of itself; it has no id, and a client shows the last one with it.
OF_THE_STREAM = {"shutdown", "reset"}


class Follower:
    """A viewer that watches a feed to its end, and comes back with its last id whatever breaks.

    Args:
        deployment: What serves it.
        city: The parameter.

    Attributes:
        seen: What it has seen by now.
    """

    def __init__(self, deployment: Deployment, city: str) -> None:
        self.seen: list[Seen] = []
        self._deployment = deployment
        self._city = city

    def follow(self) -> None:
        """Watch, until the end or for a minute."""
        deadline = time.monotonic() + 60.0
        while time.monotonic() < deadline and not self.has("done"):
            with suppress(httpx.TransportError):
                self._watch()
            time.sleep(0.1)

    def has(self, event: str) -> bool:
        """Say whether it has seen such an event."""
        return any(seen.event == event for seen in self.seen)

    def _watch(self) -> None:
        headers = {"Last-Event-ID": self.seen[-1].id} if self.seen else {}
        path = f"/feeds/city?city={self._city}"
        with watching(self._deployment, path, headers=headers) as viewer:
            self.seen += (seen for seen in viewer if seen.event not in OF_THE_STREAM)


@pytest.fixture
def followed(deployment, upstreams, city) -> Iterator[Follower]:
    """A viewer of a run that the first process executes; at the end it has seen each event once."""
    made = ask_directly(
        f"http://{LOOPBACK}:{ONE}", "/feeds/city", method="POST", json={"city": city}
    )
    follower = Follower(deployment, city)
    with ThreadPoolExecutor(1) as thread:
        following = thread.submit(follower.follow)
        eventually(lambda: follower.has("chunk"))
        yield follower
        following.result()
    run = made.json()["run"]
    ids = [f"{run}-{n}" for n in range(1, len(follower.seen) + 1)]
    assert [seen.id for seen in follower.seen] == ids
    assert follower.seen[-1].data["reason"] == "finished"


def outcomes(follower: Follower) -> dict[str, str]:
    """Say how each upstream came out, by its name."""
    return {
        seen.data["upstream"]: seen.data.get("code", seen.event)
        for seen in follower.seen
        if seen.event in {"result", "failure"}
    }


def test_the_death_of_a_process_loses_nothing(deployment, upstreams, city, followed):
    """Others serve at once, take its run over, and call what had not answered once more."""
    deployment.kill(quart(ONE))
    try:
        assert {ask(deployment, "/feeds").status_code for _ in range(12)} == {200}
        upstreams.wait_calls(f"/held/{city}", 2, timeout=20.0)
        release(upstreams, city)
        eventually(lambda: followed.has("done"))
    finally:
        deployment.start(quart(ONE))
    assert outcomes(followed) == {"weather": "result", "news": "disconnected"}


def test_a_rolling_restart_loses_nothing(deployment, upstreams, city, followed):
    """One process after the other: no request fails meanwhile, and no viewer misses an event."""
    ended = threading.Event()

    def ask_on() -> Counter[int]:
        statuses: Counter[int] = Counter()
        while not ended.is_set():
            statuses[ask(deployment, "/feeds").status_code] += 1
            statuses[ask(deployment, "/readyz").status_code] += 1
            time.sleep(0.05)
        return statuses

    with ThreadPoolExecutor(1) as thread:
        asking_on = thread.submit(ask_on)
        try:
            for unit in (quart(ONE), quart(TWO), flask(THREE)):
                assert deployment.stop(unit) == 0
                release(upstreams, city)
                deployment.start(unit)
        finally:
            ended.set()
        assert set(asking_on.result()) == {200}
    assert outcomes(followed) == {"weather": "result", "news": "disconnected"}


def test_redis_is_killed_and_comes_back(deployment, upstreams, city, followed):
    """It has all that it had accepted; nginx passes on why nothing new is taken meanwhile."""
    deployment.kill(REDIS)
    try:
        eventually(lambda: ask(deployment, "/readyz").status_code == 503)
        refused = ask(deployment, "/feeds/city?city=another")
        assert refused.status_code == 503
        assert refused.json()["type"] == "urn:fanstream:log-unreachable"
        assert refused.headers["Retry-After"]
    finally:
        deployment.start(REDIS)
    eventually(lambda: ask(deployment, "/readyz").status_code == 200)
    release(upstreams, city)
    eventually(lambda: followed.has("done"))
    assert outcomes(followed) == {"weather": "result", "news": "result"}


def test_each_ends_in_order(deployment):
    """At the end of all, within the time of its unit and with status 0; runs last."""
    for unit in (NGINX, flask(THREE), quart(TWO), quart(ONE), REDIS):
        assert deployment.stop(unit) == 0, deployment.log(unit)
        assert "Traceback" not in deployment.log(unit)
