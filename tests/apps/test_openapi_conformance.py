"""The OpenAPI document against what is answered: schemathesis asks both applications by it.

It makes requests of the document, right and wrong ones, and follows its links from run to run. A
server error fails, and so does an answer that the document does not have. The upstreams answer at
once, so that every stream ends by itself.
"""

import json
import re
import sys
from pathlib import Path

import jwt
import pytest

from tests.serving import run_command, serving
from tests.viewing import ask

FEEDS = """
[server]
max_body_bytes = 65536
drain_timeout = 1.0

[feeds.every]
title = "Every type of parameter, every kind of outcome"
[feeds.every.params.word]
pattern = "[a-z]+( [a-z]+)*"
max_length = 20
label = "A word"
[feeds.every.params.text]
default = "Paris"
[feeds.every.params.count]
type = "integer"
max_length = 6
[feeds.every.params.size]
type = "number"
default = 0.5
[feeds.every.params.loud]
type = "boolean"
default = false
[feeds.every.upstreams.a]
url = "${UPSTREAMS}/echo/x-{word}?text={text}&count={count}"
headers = { X-Size = "{size}" }
[feeds.every.upstreams.b]
url = "${UPSTREAMS}/ndjson?lines=3"
read = "ndjson"
[feeds.every.upstreams.c]
url = "${UPSTREAMS}/flaky/{word}?code=500"
retry_statuses = [500]
backoff = 0.0
[feeds.every.upstreams.d]
url = "${UPSTREAMS}/invalid-json"

# Not to be repeated: an id that names no place here is 410.
[feeds.bought.params.key]
default = "k"
[feeds.bought.upstreams.a]
url = "${UPSTREAMS}/echo"
method = "POST"
json = { key = "{key}", loud = "{loud}" }
[feeds.bought.params.loud]
type = "boolean"
default = true

[feeds.shared]
share = true
on_disconnect = "detach"
[feeds.shared.params.key]
default = "k"
max_length = 2
[feeds.shared.upstreams.a]
url = "${UPSTREAMS}/json?value={key}&delay=0.02"
"""

SECRET = "of no use to anybody but these tests"

AUTH = """
[auth]
jwt_secret = "${JWT_SECRET}"
"""

METHODS = {"get", "head", "post", "delete"}

# Seconds; it takes ten, alone on its machine.
TIMEOUT = 120.0

LEAST_CASES = 1000
"""What must have been asked at least: a run that tries nothing would find nothing."""


@pytest.fixture(scope="module")
def served(app, environment, tmp_path_factory):
    """An application of its own: what is asked of it depends on its feeds."""
    with serving(app, FEEDS, folder=tmp_path_factory.mktemp(app), env=environment) as running:
        yield running


def try_document(served, folder, *options):
    """Ask by the document; return how many requests there were. What they leave is in a folder."""
    here = Path(__file__).parent
    command = str(Path(sys.executable).with_name("schemathesis"))
    config = ("--config-file", str(here / "schemathesis.toml"))
    env = {"SCHEMATHESIS_HOOKS": str(here / "openapi_hooks.py")}
    document = f"{served.base_url}/openapi.json"
    run = run_command(
        command, *config, "run", document, *options, cwd=folder, env=env, timeout=TIMEOUT
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "Traceback" not in served.log()
    return int(re.search(r"(\d+) generated", run.stdout)[1])


def test_every_answer_is_in_the_document(served, tmp_path):
    """No request made from the document has an answer that is not in it, or a server error."""
    assert try_document(served, tmp_path) > LEAST_CASES


def bearer(**claims):
    """The header that a request carries a token in."""
    token = jwt.encode({"sub": "ada", **claims}, SECRET, algorithm="HS256")
    return f"Bearer {token}"


def with_token(**claims):
    """The options by which every request carries it."""
    return ("--phases", "coverage", "--header", f"Authorization: {bearer(**claims)}")


@pytest.fixture(scope="module")
def guarded(app, environment, tmp_path_factory):
    """An application that asks for tokens."""
    env = {**environment, "JWT_SECRET": SECRET}
    with serving(app, AUTH + FEEDS, folder=tmp_path_factory.mktemp(app), env=env) as running:
        yield running


def test_every_answer_to_a_token_is_in_the_document(guarded, tmp_path):
    """Where tokens are asked for, so are the answers to those that are right, wrong or missing."""
    assert try_document(guarded, tmp_path, *with_token(feeds=["*"], stop=True)) > LEAST_CASES / 2


def test_every_refusal_of_a_right_is_in_the_document(guarded, tmp_path):
    """So are the answers to a token that gives some rights, and not those that are asked for."""
    report = tmp_path / "asked.har"
    options = (
        *with_token(feeds=["every"]),
        *("--report", "har", "--report-har-path", str(report)),
        # What is asked rightly is refused to this one.
        *("--exclude-checks", "positive_data_acceptance"),
    )
    assert try_document(guarded, tmp_path, *options) > LEAST_CASES / 10
    entries = json.loads(report.read_text())["log"]["entries"]
    refused = {
        (entry["request"]["method"], entry["request"]["url"].split("/")[3])
        for entry in entries
        if entry["response"]["status"] == 403
    }
    assert refused >= {("GET", "feeds"), ("POST", "feeds"), ("DELETE", "runs")}


def test_challenges_are_in_the_document(guarded):
    """What says how to come with another token is described where it is sent: on 401 and 403."""
    headers = {"Authorization": bearer(feeds=["every"])}
    refused = ask(guarded.base_url, "/feeds/shared", headers=headers)
    assert (refused.status_code, "www-authenticate" in refused.headers) == (403, True)
    paths = ask(guarded.base_url, "/openapi.json", headers=headers).json()["paths"]
    operations = [path[method] for path in paths.values() for method in path.keys() & METHODS]
    described = [
        operation["responses"][status].get("headers", {}).keys()
        for operation in operations
        for status in operation["responses"].keys() & {"401", "403"}
    ]
    assert described
    assert all("WWW-Authenticate" in headers for headers in described)
