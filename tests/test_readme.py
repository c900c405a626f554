"""The README does what it says: its commands, its code and its tables, taken out of it and run.

Addresses in it are replaced: the demo's port by a free one, services by a stub of this file.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from dataclasses import fields
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest

from streaming.core.config import parse
from streaming.core.errors_request import RequestError
from streaming.core.errors_upstream import CircuitOpen, UpstreamError
from streaming.core.feed import Feed
from streaming.core.settings import LogSettings, ServerSettings
from streaming.core.upstream import DEFAULT_MAX_BYTES, Upstream
from tests.serving import FANSTREAM, ROOT, Served, free_port, run_command, serving_command

TEXT = (ROOT / "README.md").read_text()
DEMO = "http://127.0.0.1:8000"
SERVICES = re.compile(r"https://\w+\.example\.com")

# A number, the start of a run's id, and what is left out.
_LOOSE = re.compile(r"([0-9a-f]{8}…|…|\d+(?:\.\d+)?)")


def blocks(language: str) -> list[str]:
    found = re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    assert found, f"no {language} in the README"
    return found


def table(heading: str) -> list[list[str]]:
    """Give the cells of the rows under a heading line."""
    rows = TEXT.partition(f"| {heading} |")[2].split("\n\n")[0].splitlines()[2:]
    assert rows, f"no table {heading}"
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in rows]


def quoted(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def curls() -> list[tuple[str, list[str]]]:
    """Give each command, and the lines that are shown of its output."""
    commands = "".join(blocks("console")).split("$ ")[1:]
    return [(text.splitlines()[0], text.splitlines()[1:]) for text in commands]


def app_of(framework: str) -> str:
    [code] = [block for block in blocks("python") if f"from {framework} import" in block]
    return code


class _Service(BaseHTTPRequestHandler):
    """Answers every path with JSON."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = json.dumps({"path": self.path}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def service() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Service)
    thread = Thread(target=partial(server.serve_forever, poll_interval=0.05))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Run `fanstream demo`, as the README says, on another port."""
    folder, port = tmp_path_factory.mktemp("demo"), free_port()
    arguments = (FANSTREAM, "demo", "--port", str(port))
    with serving_command(*arguments, port=port, folder=folder) as served:
        yield served


def events(url: str) -> list[dict[str, Any]]:
    """Read a stream to its end."""
    response = httpx.get(url, headers={"Accept": "application/x-ndjson"}, trust_env=False)
    assert response.status_code == 200
    return [json.loads(line) for line in response.text.splitlines()]


def loosely(line: str) -> re.Pattern[str]:
    """Make a pattern of a line that is shown: numbers may differ, and `…` is anything."""
    tokens = _LOOSE.split(line)
    wild = ("[0-9a-f]+" if len(t) > 1 and t.endswith("…") else ".*" for t in tokens[1::2])
    numbers = (r"[\d.]+" if t[0].isdigit() and not t.endswith("…") else None for t in tokens[1::2])
    loose = [number or any_ for number, any_ in zip(numbers, wild, strict=True)]
    parts = [re.escape(text) for text in tokens[::2]]
    return re.compile("".join(a + b for a, b in zip(parts, [*loose, ""], strict=True)))


def test_it_is_short() -> None:
    """Whoever looks in reads it to its end."""
    assert len(TEXT.splitlines()) < 150


def test_its_links_lead_somewhere() -> None:
    """Each file that it names as a link is there."""
    links = re.findall(r"\]\(([^)#]+)\)", TEXT)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


@pytest.mark.parametrize("verb", re.findall(r"\bmake (\w+)", TEXT))
def test_its_verbs_of_make_are_there(verb: str) -> None:
    """Each `make` that it names is a verb of the Makefile."""
    assert re.search(rf"^{verb}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize(("command", "shown"), curls(), ids=lambda value: str(value)[:60])
def test_curl_shows_what_it_says(demo: Served, command: str, shown: list[str]) -> None:
    """Each command prints the lines that are shown, in their order."""
    if shutil.which("curl") is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("curl is not installed")
    program, *arguments = shlex.split(command.replace(DEMO, demo.base_url))
    assert program == "curl"
    printed = subprocess.run(
        ["curl", "--silent", "--noproxy", "*", *arguments],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout
    rest = iter(printed.splitlines())
    for line in shown:
        if line != "…":
            pattern = loosely(line)
            assert any(pattern.fullmatch(each) for each in rest), (line, printed)


def test_each_wire_is_shown() -> None:
    """There is a command for each of the four."""
    formats = [re.findall(r"format=(\w+)", command) for command, _ in curls()]
    assert formats == [[], ["ndjson"], ["text"], ["json"]]


def test_the_consumer_prints_each_event(demo: Served) -> None:
    """The few lines with httpx-sse read the demo's ten answers."""
    [code] = [block for block in blocks("python") if "httpx_sse" in block]
    done = run_command("-c", code.replace(DEMO, demo.base_url), env={"NO_PROXY": "127.0.0.1"})
    assert done.stderr == ""
    names = [line.partition(" ")[0] for line in done.stdout.splitlines()]
    assert names == ["start", *["result"] * 10, "done"]


def test_the_feed_is_a_whole_configuration() -> None:
    """The TOML is what the start accepts, with the variable that it names."""
    [text] = blocks("toml")
    settings = parse(tomllib.loads(text), env={"WEATHER_TOKEN": "t"})
    assert list(settings.feeds["city"].upstreams) == ["weather", "news"]


@pytest.mark.parametrize(
    ("framework", "command", "path", "said"),
    [
        ("flask", "-m flask --app readme_app run --port {port}", "/count", ["message"] * 3),
        ("quart", "-m uvicorn readme_app:app --port {port}", "/both", ["result"] * 2),
    ],
)
def test_the_apps_stream(
    service: str, tmp_path: Path, framework: str, command: str, path: str, said: list[str]
) -> None:
    """Each application serves its generator, and its feed under the prefix."""
    code = SERVICES.sub(service, app_of(framework))
    assert len(code.splitlines()) < 15
    (tmp_path / "readme_app.py").write_text(code)
    port = free_port()
    arguments = command.format(port=port).split()
    with serving_command(*arguments, port=port, folder=tmp_path, cwd=tmp_path) as served:
        own = events(served.base_url + path)
        feed = events(f"{served.base_url}/live/feeds/news")
    assert [event["event"] for event in own] == ["open", *said, "done"]
    assert [event["event"] for event in feed] == ["open", "start", "result", "done"]
    assert feed[2]["data"]["body"] == {"path": "/latest"}
    # What a browser sends when it comes back after the end, and is answered 204.
    assert own[-1]["id"] == "done"


def test_its_limits_are_the_defaults() -> None:
    """Each default in the table is the one in the code."""
    tables = (ServerSettings, LogSettings, Feed, Upstream)
    defaults = [(field.name, field.default) for each in tables for field in fields(each)]
    defaults.append(("max_bytes", DEFAULT_MAX_BYTES))
    for keys, values, _ in table("limit | default | beyond it"):
        for key, value in zip(quoted(keys), quoted(values), strict=True):
            assert (key, tomllib.loads(f"value = {value}")["value"]) in defaults


def test_its_codes_are_all_codes() -> None:
    """Each code that a failure can have in this version stands in the table, once."""
    rows = table("`failure` code | what happened | tried again")
    codes = [code for row in rows for code in quoted(row[0])]
    errors = {error.code for error in UpstreamError.__subclasses__()} - {CircuitOpen.code}
    assert sorted(codes) == sorted(errors)


def test_its_statuses_are_all_statuses() -> None:
    """Each status that a request can be refused with stands in the table."""
    statuses = {int(n) for row in table("status | when") for n in re.findall(r"\d+", row[0])}
    assert statuses == {204} | {error.status for error in RequestError.__subclasses__()}
