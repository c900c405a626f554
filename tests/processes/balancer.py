"""nginx in front of several processes: round robin, and past those that are dead."""

import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from socket import create_connection

from tests.programs import find_program
from tests.serving import LOOPBACK, free_port

# What matters: a stream is passed on as it comes, and who refuses a connection is passed over. A
# request that may have begun something (POST) is not sent twice; nginx sees to that by itself.
_CONFIG = """\
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream processes {{
{servers}
    }}
    server {{
        listen {host}:{port} backlog=2048;
        location / {{
            proxy_pass http://processes;
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header Connection "";
            proxy_buffering off;
            proxy_connect_timeout 2s;
            proxy_read_timeout 30s;
            proxy_next_upstream error timeout;
        }}
    }}
}}
"""
_SERVER = "        server {host}:{port} max_fails=1 fail_timeout=1s;"

_START_TIMEOUT = 10.0
_END_TIMEOUT = 10.0
_POLL_INTERVAL = 0.02


@contextmanager
def balancing(ports: Sequence[int], *, folder: Path) -> Iterator[str]:
    """Run nginx in front of these ports for the block; give its URL, without a slash at the end."""
    folder = folder / "nginx"
    folder.mkdir()
    port = free_port()
    servers = "\n".join(_SERVER.format(host=LOOPBACK, port=port) for port in ports)
    config = folder / "nginx.conf"
    config.write_text(_CONFIG.format(folder=folder, servers=servers, host=LOOPBACK, port=port))
    log = folder / "error.log"
    command = [find_program("nginx"), "-p", folder, "-e", log, "-c", config]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, process_group=0)
    try:
        _wait_ready(process, port)
        yield f"http://{LOOPBACK}:{port}"
    finally:
        process.terminate()
        try:
            process.wait(_END_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_ready(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + _START_TIMEOUT
    while time.monotonic() < deadline:
        assert process.poll() is None, f"nginx ended with status {process.poll()}"
        with suppress(OSError), create_connection((LOOPBACK, port)):
            return
        time.sleep(_POLL_INTERVAL)
    raise RuntimeError("nginx does not listen")
