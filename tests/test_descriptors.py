"""The limit on descriptors: raised as far as it goes, and a word where that is not far enough."""

import resource
import subprocess
import sys

import pytest

from streaming import descriptors
from streaming.core.settings import ServerSettings
from streaming.descriptors import BESIDE_STREAMS, describe_shortage
from tests.serving import FANSTREAM, ROOT, free_port, serving_command

RAISE = """
import resource, sys
from streaming import descriptors
soft, hard = (int(word) for word in sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
print(descriptors.raise_limit(), *resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.parametrize(
    ("soft", "hard", "after"), [(256, 1000, "1000 1000 1000"), (1000, 1000, "1000 1000 1000")]
)
def test_the_soft_limit_becomes_the_hard_one(soft, hard, after):
    """Which itself stays as it was."""
    command = [sys.executable, "-c", RAISE, str(soft), str(hard)]
    ended = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    assert ended.stdout.strip() == after


@pytest.mark.parametrize(
    ("platform", "hard", "asked_for"),
    [
        ("linux", resource.RLIM_INFINITY, descriptors.MAX_LIMIT),
        ("linux", 2 * descriptors.MAX_LIMIT, descriptors.MAX_LIMIT),
        ("darwin", resource.RLIM_INFINITY, descriptors.MAX_LIMIT_MACOS),
        ("darwin", 500, 500),
    ],
)
def test_no_more_is_asked_for_than_a_system_gives(monkeypatch, platform, hard, asked_for):
    """Also where it says that there is no limit."""
    asked = []
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(resource, "getrlimit", lambda what: (256, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda what, limits: asked.append(limits))
    assert descriptors.raise_limit() == asked_for
    assert asked == [(asked_for, hard)]


@pytest.mark.parametrize("error", [ValueError, OSError])
def test_a_limit_that_cannot_be_raised_stays(monkeypatch, error):
    """The kernel may refuse what it has named; the start goes on with what there is."""

    def refuse(what, limits):
        raise error

    monkeypatch.setattr(resource, "getrlimit", lambda what: (256, 4096))
    monkeypatch.setattr(resource, "setrlimit", refuse)
    assert descriptors.raise_limit() == 256


@pytest.mark.parametrize(
    ("soft", "limit"), [(resource.RLIM_INFINITY, descriptors.MAX_LIMIT), (2_000_000, 2_000_000)]
)
def test_a_limit_is_never_lowered(monkeypatch, soft, limit):
    """One that is above what would be asked for is not touched."""
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(resource, "getrlimit", lambda what: (soft, resource.RLIM_INFINITY))
    monkeypatch.setattr(resource, "setrlimit", lambda what, limits: pytest.fail("was set"))
    assert descriptors.raise_limit() == limit


@pytest.mark.parametrize("per_stream", [1, 2])
def test_what_does_not_fit_is_named(per_stream):
    """Exactly from the bound on, with what has to be changed."""
    settings = ServerSettings(max_streams=300, max_connections=50)
    needed = 300 * per_stream + 50 + BESIDE_STREAMS
    assert describe_shortage(settings, per_stream=per_stream, limit=needed) is None
    said = describe_shortage(settings, per_stream=per_stream, limit=needed - 1)
    for word in (f" {needed - 1} ", f" {needed}:", "max_streams = 300", "max_connections = 50"):
        assert word in said


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells of another process's limits")
@pytest.mark.parametrize(("hard", "warns"), [(512, True), (4096, False)])
def test_the_command_raises_and_warns(tmp_path, hard, warns):
    """The server may open as many as the system allows; the start says where that is too few."""
    port = free_port()
    limited = f"""
import os, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (256, {hard}))
os.execv(sys.argv[1], sys.argv[1:])
"""
    command = ["-c", limited, sys.executable, FANSTREAM, "serve", "--port", str(port)]
    with serving_command(*command, port=port, folder=tmp_path) as served:
        limit = resource.prlimit(served.process.pid, resource.RLIMIT_NOFILE)
        log = served.log()
    assert limit == (hard, hard)
    assert ("warning: this process may open 512 descriptors" in log) == warns
