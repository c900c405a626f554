"""The log lines of both applications: one a run and a failure, and nothing that is private."""

import re

import pytest

from tests.apps.scenarios import FEEDS, SECRET
from tests.serving import serving
from tests.viewing import ask

PRIVATE = "pr1vate"


@pytest.fixture(scope="module")
def log(app, environment, upstreams, tmp_path_factory):
    """What an application has written, after requests of all kinds that hold private values."""
    folder = tmp_path_factory.mktemp("log")
    with serving(app, FEEDS, folder=folder, env=environment) as running:
        url = running.base_url
        headers = {"Authorization": f"Bearer {PRIVATE}", "Cookie": f"fanstream={PRIVATE}"}
        for path in (
            *("/feeds/quick", "/feeds/typed", "/feeds/none", "/runs/x", "/none"),
            *("/feeds/placed", "/feeds/edges", "/feeds/quick?format=xml"),
        ):
            for name in ("key", "text", "query", "access_token", "last_event_id", PRIVATE):
                params = {name: PRIVATE}
                ask(url, path, params=params, headers=headers)
                ask(url, path, method="POST", json=params, headers=headers)
        ask(url, f"/feeds/placed?query={PRIVATE}&format=json", headers=headers)
        ask(url, f"/feeds/placed?header={PRIVATE}&format=json", headers=headers)
        ask(url, "/feeds/edges")
        running.signal()
        assert running.wait() == 0
        return running.log()


def test_no_line_holds_what_is_private(log):
    """No query value, no header, no token, and nothing of an upstream's secret."""
    assert PRIVATE not in log
    assert SECRET not in log
    assert "127.0.0.1:" not in log.replace(re.search(r"http://127\.0\.0\.1:\d+/", log)[0], "")


def test_each_run_has_a_line(log):
    """A run that has ended is one line at INFO with its counts."""
    lines = re.findall(r"INFO run feed=placed run=\w{8} reason=finished ok=1 failed=0", log)
    assert len(lines) >= 2


def test_each_failure_has_a_line(log):
    """A failed upstream is one line at WARNING with its code."""
    assert re.search(r"WARNING failure feed=edges run=\w{8} upstream=nan code=decode", log)


def test_nothing_else_is_logged(log):
    """Wrong requests are no errors of this side."""
    assert "ERROR" not in log
    assert "Traceback" not in log
