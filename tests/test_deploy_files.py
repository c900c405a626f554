"""The files of deploy/ agree with each other, with fanstream's bounds, and with their README."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from streaming.cli import serve
from streaming.config import load
from streaming.core.settings import ServerSettings
from streaming.descriptors import describe_shortage
from streaming.servers import GRACE, SERVERS, THREADS_BESIDE_STREAMS
from tests.deploying import (
    DEPLOY,
    HTTPS_PORT,
    NGINX,
    PORTS,
    README,
    REDIS,
    REDIS_PORT,
    UNITS,
    environment,
    flask,
    quart,
)
from tests.programs import find_program
from tests.serving import ROOT

VIEWERS = 10_000

SETTINGS = load(str(DEPLOY / "feeds.toml"), env=environment(), cwd=ROOT).settings
BOUNDS: ServerSettings = SETTINGS.server

CONF = (DEPLOY / "nginx.conf").read_text()
UPSTREAMS = (DEPLOY / "upstreams.conf").read_text()
UPSTREAMS_IN_COMPOSE = (DEPLOY / "compose" / "upstreams.conf").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
PROCESSES = ["quart-1", "quart-2", "flask"]

PROCESS_UNITS = [quart(PORTS[0]), flask(PORTS[0])]
ALL_UNITS = [*PROCESS_UNITS, REDIS, NGINX]

HARDENING = {
    "LockPersonality": "yes",
    "NoNewPrivileges": "yes",
    "PrivateDevices": "yes",
    "PrivateTmp": "yes",
    "ProtectClock": "yes",
    "ProtectControlGroups": "yes",
    "ProtectHome": "yes",
    "ProtectHostname": "yes",
    "ProtectKernelLogs": "yes",
    "ProtectKernelModules": "yes",
    "ProtectKernelTunables": "yes",
    "ProtectProc": "invisible",
    "ProtectSystem": "strict",
    "RestrictAddressFamilies": "AF_INET AF_INET6 AF_UNIX",
    "RestrictNamespaces": "yes",
    "RestrictRealtime": "yes",
    "RestrictSUIDSGID": "yes",
    "SystemCallArchitectures": "native",
    "SystemCallErrorNumber": "EPERM",
    "SystemCallFilter": "@system-service",
    "UMask": "0077",
}


def directives(text: str, name: str) -> list[str]:
    """The values of a directive of nginx's or Redis's, in their order."""
    return re.findall(rf"^\s*{name}\s+(.*?);?$", text, re.MULTILINE)


def directive(name: str, text: str = CONF) -> str:
    """The one value of a directive."""
    [value] = directives(text, name)
    return value


def seconds(value: str) -> float:
    assert value.endswith("s"), value
    return float(value[:-1])


# ------------------------------------------------------------------- nginx


def test_nginx_waits_longer_than_a_beat() -> None:
    """A stream that is silent but for its beats is not taken for a process that is stuck."""
    assert seconds(directive("proxy_read_timeout")) >= 2 * BOUNDS.ping_interval
    assert seconds(directive("proxy_send_timeout")) >= BOUNDS.ping_interval
    assert seconds(directive("worker_shutdown_timeout")) > BOUNDS.max_stream_age


def test_nginx_holds_nothing_back() -> None:
    """Neither an event nor a connection to a process, nor anything on disk."""
    assert directive("proxy_buffering") == "off"
    assert directive("proxy_http_version") == "1.1"
    assert 'Connection ""' in directives(CONF, "proxy_set_header")
    assert directive("client_body_buffer_size") == directive("client_max_body_size") == "2m"
    assert BOUNDS.max_body_bytes < 2 << 20


def test_nginx_repeats_no_post() -> None:
    """What is taken elsewhere is named, and requests that are not idempotent are not among it."""
    assert directive("proxy_next_upstream") == "error timeout http_503"


def test_nginx_writes_no_query_down() -> None:
    """Its format has no variable that holds one; at the level `error` it would quote requests."""
    [written] = re.findall(r"log_format paths ([^;]+);", CONF)
    variables = set(re.findall(r"\$(\w+)", written))
    assert not variables & {"request", "request_uri", "args", "query_string", "http_referer"}
    assert directive("access_log") == "access.log paths"
    assert directive("error_log") == "stderr crit"


def test_nginx_carries_the_viewers() -> None:
    """Two connections for each in any one worker, and descriptors for all of them."""
    connections = int(directive("worker_connections"))
    assert connections >= 2 * VIEWERS
    assert int(directive("worker_rlimit_nofile")) >= connections + 2048
    assert NGINX.key("LimitNOFILE") == directive("worker_rlimit_nofile")
    assert SERVICES["nginx"]["ulimits"]["nofile"] == int(directive("worker_rlimit_nofile"))


def test_the_processes_carry_the_viewers_less_one() -> None:
    """All but one of them have room for everybody."""
    assert (len(PORTS) - 1) * BOUNDS.max_streams >= VIEWERS


def test_both_lists_of_processes_say_the_same() -> None:
    """The names are the same, and so is all but where they are."""
    kept = [
        re.sub(r"#.*|server .*", "", text).split() for text in (UPSTREAMS, UPSTREAMS_IN_COMPOSE)
    ]
    assert kept[0] == kept[1]
    assert directive("proxy_pass") == "http://fanstream"
    assert directives(UPSTREAMS, "server") == [f"127.0.0.1:{port} max_fails=0" for port in PORTS]
    assert directives(UPSTREAMS_IN_COMPOSE, "server") == [
        f"{address(name)}:8000 max_fails=0" for name in PROCESSES
    ]


def test_nginx_closes_idle_connections_first() -> None:
    """Each server keeps them for longer: docs/servers.md has 2 s as the least."""
    assert seconds(directive("keepalive_timeout", UPSTREAMS)) < 2


def test_nginx_takes_both_lists(tmp_path: Path) -> None:
    """`nginx -t` passes with the processes of a machine, and with those of compose.yaml."""
    nginx, openssl = find_program("nginx"), find_program("openssl")
    for name, upstreams in (("machine", "upstreams.conf"), ("compose", "compose/upstreams.conf")):
        folder = tmp_path / name
        (folder / "tls").mkdir(parents=True)
        (folder / "nginx.conf").symlink_to(DEPLOY / "nginx.conf")
        (folder / "upstreams.conf").symlink_to(DEPLOY / upstreams)
        [_, command] = re.findall(r"^openssl req .*", README, re.MULTILINE)
        command = command.replace("deploy/tls", str(folder / "tls"))
        subprocess.run([openssl, *shlex.split(command)[1:]], check=True, capture_output=True)
        tried = ["-e", "stderr", "-p", f"{folder}/", "-c", folder / "nginx.conf", "-t"]
        done = subprocess.run([nginx, *tried], check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert "emerg" not in done.stderr


# ------------------------------------------------------------------- Redis


def test_redis_keeps_what_it_accepts() -> None:
    """Durable, never evicting, and for this machine alone, as docs/redis.md says."""
    text = (DEPLOY / "redis.conf").read_text()
    said = {
        "bind": "127.0.0.1",
        "port": str(REDIS_PORT),
        "protected-mode": "yes",
        "appendonly": "yes",
        "appendfsync": "always",
        "maxmemory": "2gb",
        "maxmemory-policy": "noeviction",
        "client-output-buffer-limit": "pubsub 32mb 8mb 30",
    }
    assert {name: directive(name, text) for name in said} == said
    assert 2 * len(PORTS) * SETTINGS.log.max_bytes <= 2 << 30
    assert int(REDIS.key("LimitNOFILE")) >= int(directive("maxclients", text)) + 32


def test_all_name_the_same_redis() -> None:
    """The variable leads to the port of redis.conf, and in containers to the address there."""
    assert environment()["FANSTREAM_REDIS"] == f"redis://127.0.0.1:{REDIS_PORT}/0"
    assert SETTINGS.log.url == environment()["FANSTREAM_REDIS"]
    for name in PROCESSES:
        url = SERVICES[name]["environment"]["FANSTREAM_REDIS"]
        assert url == f"redis://{address('redis')}:{REDIS_PORT}/0"


# ------------------------------------------------------------------- systemd


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    """`systemd-analyze verify` has nothing to say but that fanstream is not installed there."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd is not installed")
    copied = [Path(shutil.copy(file, tmp_path)) for file in sorted(UNITS.iterdir())]
    command = ["systemd-analyze", "verify", "--man=no", *copied]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60.0)
    said = [
        line for line in done.stderr.splitlines() if str(tmp_path) in line or "fanstream" in line
    ]
    assert [line for line in said if "is not executable" not in line] == []


@pytest.mark.parametrize("unit", ALL_UNITS, ids=lambda unit: unit.name)
def test_a_unit_is_restarted_and_shut_in(unit) -> None:
    """Whatever ends it, it comes back; and it may do no more than it has to."""
    assert unit.key("Restart") == "always"
    assert {name: unit.key(name) for name in HARDENING} == HARDENING
    rights = unit.key("CapabilityBoundingSet").split()
    assert (rights == []) == (unit is not NGINX)
    assert unit.key("WantedBy") == "multi-user.target"


@pytest.mark.parametrize("unit", PROCESS_UNITS, ids=lambda unit: unit.name)
def test_a_process_has_time_to_drain(unit) -> None:
    """Its first process alone is told, and nothing is killed before that would have ended."""
    assert (unit.key("KillMode"), unit.key("KillSignal")) == ("mixed", "SIGTERM")
    assert unit.seconds_to_stop > BOUNDS.drain_timeout + GRACE + 1
    assert unit.key("DynamicUser") == "yes"
    assert unit.key("EnvironmentFile") == "/etc/fanstream/environment"
    assert f"http://127.0.0.1:{PORTS[0]}/readyz" in unit.key("ExecStartPost")


def test_processes_have_their_descriptors() -> None:
    """As many as fanstream itself asks for, at the bounds of feeds.toml."""
    uvicorn, gunicorn = SERVERS["quart"]["uvicorn"], SERVERS["flask"]["gunicorn"]
    limit = int(quart(PORTS[0]).key("LimitNOFILE"))
    assert describe_shortage(BOUNDS, per_stream=uvicorn.descriptors, limit=limit) is None
    unit = flask(PORTS[0])
    threads = int(option(unit.key("ExecStart"), "--threads"))
    needed = threads * gunicorn.descriptors + BOUNDS.max_connections + 1000
    assert int(unit.key("LimitNOFILE")) >= needed
    assert int(unit.key("TasksMax")) > threads


# ------------------------------------------------------------------- containers


def address(name: str) -> str:
    """The address of a service."""
    return str(SERVICES[name]["networks"]["fanstream"]["ipv4_address"])


def option(command: str, name: str) -> str:
    """The value of an option in a command."""
    words = shlex.split(command)
    return words[words.index(name) + 1]


def test_containers_read_these_files() -> None:
    """Each file that is mounted lies here, where the unit's command has it, and is not written."""
    for name, service in SERVICES.items():
        for source, target, *mode in (volume.split(":") for volume in service["volumes"]):
            if not source.startswith("./"):
                assert source in COMPOSE["volumes"], name
                continue
            assert mode == ["ro"], (name, source)
            # The certificate is made by a command of the README.
            assert (DEPLOY / source).is_file() or source == "./tls"
            assert target.startswith("/etc/fanstream/")
            assert Path(target).name == Path(source).name
    mounted = {volume.split(":")[0] for volume in SERVICES["nginx"]["volumes"]}
    assert mounted == {"./nginx.conf", "./compose/upstreams.conf", "./tls"}
    assert "deploy/tls/" in README


@pytest.mark.parametrize("name", PROCESSES)
def test_a_container_serves_as_a_unit_does(name: str) -> None:
    """By the same command and the same configuration, on an address that nginx reaches."""
    command = SERVICES[name]["command"]
    assert not parse_serve(command)["server"]
    assert parse_serve(command)["app"] == name.partition("-")[0]
    assert option(command, "--config") == option(quart(1).key("ExecStart"), "--config")
    assert (option(command, "--host"), option(command, "--port")) == ("0.0.0.0", "8000")
    assert SERVICES[name]["env_file"] == "environment"
    assert seconds(SERVICES[name]["stop_grace_period"]) >= quart(1).seconds_to_stop
    assert "/readyz" in " ".join(SERVICES[name]["healthcheck"]["test"])
    assert SERVICES[name]["ulimits"]["nofile"] == int(quart(1).key("LimitNOFILE"))
    assert SERVICES["nginx"]["depends_on"][name] == {"condition": "service_healthy"}


def parse_serve(command: str) -> dict[str, Any]:
    """What `fanstream` takes a command for."""
    verb, *words = shlex.split(command)
    assert verb == serve.name
    return serve.make_context("fanstream", words).params


def test_flask_has_as_many_threads_everywhere() -> None:
    """The README says how many viewers that is."""
    of_unit = option(flask(1).key("ExecStart"), "--threads")
    assert option(SERVICES["flask"]["command"], "--threads") == of_unit
    streams = int(of_unit) - 8
    assert f"it carries {streams:,} here" in README
    assert THREADS_BESIDE_STREAMS > 8


def test_redis_and_nginx_run_as_their_units_do() -> None:
    """By the same commands, but for where they listen and write."""
    redis = SERVICES["redis"]["command"]
    assert redis.startswith("redis-server /etc/fanstream/redis.conf ")
    assert REDIS.key("ExecStart") == "/usr/bin/redis-server /etc/fanstream/redis.conf"
    assert "ports" not in SERVICES["redis"]
    here, there = shlex.split(NGINX.key("ExecStart")), shlex.split(SERVICES["nginx"]["command"])
    assert [here.pop(here.index("-p") + 1), there.pop(there.index("-p") + 1)] == [
        *("/var/lib/fanstream-nginx/", "/var/log/nginx/")
    ]
    assert [Path(here[0]).name, *here[1:]] == there
    assert SERVICES["nginx"]["ports"] == [f"443:{HTTPS_PORT}"]


def test_the_proxies_are_trusted() -> None:
    """Where nginx asks from, on a machine and in containers, and nobody else."""
    assert set(BOUNDS.trusted_proxies) == {"127.0.0.1", address("nginx")}


def test_the_image_is_made_of_what_is_there() -> None:
    """What is copied into it is in the repository, and the extras are the distribution's."""
    dockerfile = (DEPLOY / "Dockerfile").read_text()
    context = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    for line in context:
        if line.startswith("!"):
            assert (ROOT / line[1:]).exists(), line
    extras = re.findall(r"\.whl\)\[([\w,]+)\]", dockerfile)[0].split(",")
    project = (ROOT / "pyproject.toml").read_text()
    assert all(f"\n{extra} = [" in project for extra in extras)
    assert {"redis", "gunicorn"} <= set(extras)


# ------------------------------------------------------------------- the README


def test_each_file_is_described() -> None:
    """Every file here stands in the table, and none that is not."""
    table = "".join(line for line in README.splitlines() if line.startswith("| `"))
    pattern = r"`(environment|Dockerfile|[\w@./-]+\.(?:conf|toml|service|yaml))`"
    named = set(re.findall(pattern, table))
    here = {
        path.relative_to(DEPLOY).as_posix()
        for path in DEPLOY.rglob("*")
        if path.is_file() and path.suffix != ".pem"
    }
    assert named == here - {"README.md", "Dockerfile.dockerignore"}


def test_the_arithmetic_is_that_of_the_files() -> None:
    """Each number of the table is the one that is configured."""
    rows = {
        row[2]: row[3] for row in (line.split("|") for line in README.splitlines()) if len(row) == 5
    }
    said = {cell.strip(): value.split()[0].rstrip(":,;") for cell, value in rows.items()}
    assert said["a process: `max_streams`"] == f"{BOUNDS.max_streams:,}"
    connections, descriptors = directive("worker_connections"), directive("worker_rlimit_nofile")
    assert said["an nginx worker: `worker_connections`"] == f"{int(connections):,}"
    assert said["an nginx worker: `worker_rlimit_nofile`"] == f"{int(descriptors):,}"
    limit = int(quart(1).key("LimitNOFILE"))
    assert said["a process: `LimitNOFILE`"] == f"{limit:,}"
    assert f"{VIEWERS:,} at a time" in README
    for port in PORTS:
        assert f"fanstream@{port}" in README
