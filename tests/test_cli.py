"""The commands: what they refuse, with which status and sentence, and what they say."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.redis_server import redis_serving
from tests.serving import FANSTREAM, ROOT, free_port, run_command, serving, serving_command
from tests.upstreams import UpstreamsThread
from tests.viewing import ask, eventually, problem, watching

GOOD = """
[feeds.one.upstreams.a]
url = "http://127.0.0.1:9/"
"""

PASSWORD = "kept-to-itself"

MISTAKES = {
    "unknown key": ("[server]\nmax_stream = 1", "server.max_stream"),
    "wrong type": ("[server]\nmax_streams = '1'", "server.max_streams"),
    "out of bounds": ("[feeds.one]\ntimeout = -1.0", "feeds.one.timeout"),
    "unset variable": (
        "[feeds.one.upstreams.a]\nurl = 'http://127.0.0.1/${NO_SUCH_VARIABLE}'",
        "feeds.one.upstreams.a.url",
    ),
    "unparsable template": (
        "[feeds.one.upstreams.a]\nurl = 'http://127.0.0.1/{'",
        "feeds.one.upstreams.a.url",
    ),
    "undeclared parameter": (
        "[feeds.one.upstreams.a]\nurl = 'http://127.0.0.1/{city}'",
        "feeds.one.upstreams.a.url",
    ),
    "reserved name": (
        "[feeds.one.params.format]\n[feeds.one.upstreams.a]\nurl = 'http://127.0.0.1/{format}'",
        "feeds.one.params.format",
    ),
}


@pytest.fixture
def config(tmp_path) -> Path:
    """A configuration without a mistake."""
    file = tmp_path / "good.toml"
    file.write_text(GOOD)
    return file


def serve(*options: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return run_command(FANSTREAM, "serve", "--port", str(free_port()), *options, env=env)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_ends_the_start(tmp_path, mistake):
    """Each kind of mistake is status 2, with the file, the path of the key and the reason."""
    text, path = MISTAKES[mistake]
    file = tmp_path / "bad.toml"
    file.write_text(text)
    ended = serve("--config", str(file))
    assert ended.returncode == 2
    sentence = " ".join(ended.stderr.split())
    assert f"{file}: {path}: " in sentence
    assert sentence.rpartition(": ")[2]
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "cannot be read"), (b"[", "is not TOML"), (b"a = '\xff'", "is not UTF-8")],
)
def test_a_file_that_cannot_be_read(tmp_path, content, reason):
    """A file that is missing or no TOML is named with its reason."""
    file = tmp_path / "bad.toml"
    if content is not None:
        file.write_bytes(content)
    ended = serve("--config", str(file))
    assert ended.returncode == 2
    assert f"{file}: {reason}" in ended.stderr


def test_the_variable_names_the_file(tmp_path):
    """`$FANSTREAM_CONFIG` is read where there is no option, and is named in the mistake."""
    file = tmp_path / "bad.toml"
    file.write_text("x = 1")
    ended = serve(env={"FANSTREAM_CONFIG": str(file)})
    assert (ended.returncode, f"{file}: x: " in ended.stderr) == (2, True)


@pytest.mark.parametrize("script", ["app_quart.py", "app_flask.py"])
def test_a_script_refuses_a_mistake(tmp_path, script):
    """The applications' own scripts end as the command does."""
    file = tmp_path / "bad.toml"
    file.write_text("[feeds.one]\nlinger = 'long'")
    ended = run_command(script, "--port", str(free_port()), "--config", str(file))
    assert ended.returncode == 2
    assert f"{file}: feeds.one.linger: " in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (("--app", "flask", "--server", "uvicorn"), "--app quart"),
        (("--app", "quart", "--server", "waitress"), "--app flask"),
        (("--app", "quart", "--server", "nginx"), "uvicorn, hypercorn, granian, gunicorn"),
        (("--app", "flask", "--server", "sync"), "gunicorn, gevent, waitress, granian, werkzeug"),
        (("--app", "django"), "quart"),
    ],
)
def test_an_unknown_pair_is_refused(config, options, word):
    """An application on a server that cannot stream it: the sentence says what to use instead."""
    ended = serve("--config", str(config), *options)
    assert ended.returncode == 2
    assert word in " ".join(ended.stderr.split())


def test_two_workers_need_a_shared_log(config):
    """With the memory log a run would be found by one of two processes only."""
    ended = serve("--config", str(config), "--workers", "2")
    assert (ended.returncode, "memory:" in ended.stderr) == (2, True)


@pytest.mark.parametrize("server", ["waitress", "werkzeug"])
def test_a_server_of_one_process_takes_no_workers(config, server):
    """The sentence says which servers take several, and nothing is ignored in silence."""
    ended = serve(*("--config", str(config), "--app", "flask", "--server", server, "--workers=2"))
    assert ended.returncode == 2
    sentence = " ".join(ended.stderr.split())
    assert f"{server} is one process" in sentence
    assert "gunicorn, gevent, granian" in sentence


def serve_with_log(folder: Path, url: str) -> str:
    """Ask for a log in a Redis that will not do; give the sentence that the start ended with."""
    file = folder / "redis.toml"
    file.write_text(f"[log]\nurl = '${{LOG}}'\n{GOOD}")
    ended = serve("--config", str(file), env={"LOG": url})
    assert ended.returncode == 2
    [sentence] = ended.stderr.splitlines()
    assert f"{file}: log.url: " in sentence
    assert PASSWORD not in sentence
    return sentence


def test_a_redis_that_is_not_there(tmp_path):
    """Nobody listening is a sentence, without the password that is in the URL."""
    port = free_port()
    sentence = serve_with_log(tmp_path, f"redis://ada:{PASSWORD}@127.0.0.1:{port}/0")
    assert f"redis://127.0.0.1:{port}/0 cannot be reached" in sentence


@pytest.mark.parametrize("credentials", ["", f"ada:{PASSWORD}@", f":{PASSWORD}@"])
def test_a_redis_that_refuses_the_password(tmp_path, credentials):
    """A missing and a wrong password are named as such, and not said."""
    with redis_serving(tmp_path) as redis:
        redis.cli("CONFIG", "SET", "requirepass", "another")
        sentence = serve_with_log(tmp_path, redis.url.replace("//", f"//{credentials}"))
    assert f"{redis.url} does not accept this user and password" in sentence


def test_a_redis_that_evicts(tmp_path):
    """A Redis that would drop events unasked is refused, and the sentence says what to set."""
    with redis_serving(tmp_path, options=["--maxmemory-policy", "allkeys-lru"]) as redis:
        redis.cli("CONFIG", "SET", "requirepass", PASSWORD)
        sentence = serve_with_log(tmp_path, redis.url.replace("//", f"//:{PASSWORD}@"))
    assert "allkeys-lru" in sentence
    assert "noeviction" in sentence


def test_a_redis_that_will_do(tmp_path):
    """With the right password nothing is said of it, and the process takes runs."""
    with redis_serving(tmp_path) as redis:
        redis.cli("CONFIG", "SET", "requirepass", PASSWORD)
        url = redis.url.replace("//", f"//:{PASSWORD}@")
        log = f"[log]\nurl = '{url}'\n{GOOD}"
        with serving("quart", log, folder=tmp_path) as running:
            assert ask(running.base_url, "/readyz").status_code == 200
            assert PASSWORD not in running.log()


def test_a_port_that_is_taken(config):
    """Another server on the port is a sentence, and no traceback."""
    with serving("quart", GOOD, folder=config.parent) as running:
        options = ["--config", str(config), "--port", str(running.port)]
        ended = run_command(FANSTREAM, "serve", *options)
    assert ended.returncode == 2
    assert f"127.0.0.1:{running.port}" in ended.stderr
    assert "--port" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_start_says_where(config):
    """Once it answers, the command says what is served where, and by which server."""
    with serving("quart", GOOD, folder=config.parent) as running:
        said = eventually(running.log)
    assert f"http://127.0.0.1:{running.port}/" in said
    assert "uvicorn" in said


def test_threads_are_ignored_with_a_note(config):
    """A server without threads is not given any, and says so."""
    with serving("quart", GOOD, folder=config.parent, options=["--threads", "20"]) as running:
        assert "note: --threads is ignored" in running.log()


def test_threads_bound_the_streams(tmp_path):
    """Under threads, eight are kept from the streams: with nine there is room for one."""
    with UpstreamsThread() as upstreams:
        never = f'[feeds.one.upstreams.a]\nurl = "{upstreams.base_url}/never"\n'
        config = f'[server]\ndrain_timeout = 0.0\n[feeds.one]\non_disconnect = "cancel"\n{never}'
        with (
            serving("flask", config, folder=tmp_path, options=["--threads", "9"]) as running,
            watching(running.base_url, "/feeds/one") as viewer,
        ):
            viewer.until("start")
            response = ask(running.base_url, "/feeds/one")
    assert (response.status_code, problem(response)["max_streams"]) == (503, 1)


def test_listening_beyond_loopback_warns(config):
    """Whoever opens the application to others without asking who they are is told so."""
    options = ["--host", "0.0.0.0"]
    with serving("quart", GOOD, folder=config.parent, options=options) as running:
        assert ask(running.base_url, "/healthz").status_code == 200
        assert "warning: 0.0.0.0 is open to others" in running.log()


def test_whoever_asks_for_tokens_is_not_warned(config):
    """Beyond loopback as well: the application knows who they are."""
    with_auth = f"{GOOD}\n[auth]\njwt_secret = '{'s' * 32}'\n"
    options = ["--host", "0.0.0.0"]
    with serving("quart", with_auth, folder=config.parent, options=options) as running:
        assert "is open to others" not in running.log()


@pytest.mark.parametrize("script", ["app_quart.py", "app_flask.py"])
@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_ends_a_script_in_order(tmp_path, script, times):
    """Once: its streams are told, and have their time. Twice: at once."""
    port = free_port()
    with UpstreamsThread() as upstreams:
        drain_timeout = 2.5 if times == 1 else 60.0
        (tmp_path / "feeds.toml").write_text(
            f"[server]\ndrain_timeout = {drain_timeout}\n"
            f'[feeds.one.upstreams.a]\nurl = "{upstreams.base_url}/never"\n'
        )
        command = [script, "--port", str(port), "--config", str(tmp_path / "feeds.toml")]
        with (
            serving_command(*command, port=port, folder=tmp_path) as running,
            watching(running.base_url, "/feeds/one") as viewer,
        ):
            viewer.until("start")
            running.interrupt()
            eventually(lambda: "again ends at once" in running.log())
            if times == 1:
                assert viewer.until("done").data["reason"] == "shutdown"
            else:
                running.interrupt()
            assert running.wait() == 0
        upstreams.wait_idle()
    assert "Traceback" not in running.log()


def test_importing_the_applications_starts_nothing(tmp_path):
    """An import opens no socket, thread or loop, whichever feeds are configured."""
    program = """
import sys, threading
def audit(event, arguments):
    assert not event.startswith("socket."), event
sys.addaudithook(audit)
import app_flask, app_quart
assert threading.active_count() == 1
"""
    file = tmp_path / "feeds.toml"
    file.write_text(GOOD)
    ended = subprocess.run(
        [sys.executable, "-c", program],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={"FANSTREAM_CONFIG": str(file), "PYTHONPATH": str(ROOT)},
    )
    assert ended.returncode == 0, ended.stderr
