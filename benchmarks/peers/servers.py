"""How each kind of server is started: one worker process, nothing logged for a request."""

from collections.abc import Callable
from pathlib import Path

from benchmarks.peers.install import NODE, PYTHON

APPS = Path(__file__).parent / "apps"
CONNECTIONS = 20_000

Command = Callable[[int, str, Path], list[str]]


def python(module: str, *options: str) -> list[str]:
    return [str(PYTHON), "-m", module, *options]


def uvicorn(app: str) -> Command:
    def command(port: int, upstream_url: str, folder: Path) -> list[str]:
        options = "--loop uvloop --http httptools --no-access-log --log-level warning".split()
        address = ["--host", "127.0.0.1", "--port", str(port)]
        return python("uvicorn", *options, *address, f"benchmarks.peers.apps.{app}")

    return command


def hypercorn(app: str) -> Command:
    def command(port: int, upstream_url: str, folder: Path) -> list[str]:
        options = f"--worker-class uvloop --workers 1 --backlog 2048 --bind 127.0.0.1:{port}"
        options += " --log-level warning"
        return python("hypercorn", *options.split(), f"benchmarks.peers.apps.{app}")

    return command


def gunicorn(app: str, options: str) -> Command:
    def command(port: int, upstream_url: str, folder: Path) -> list[str]:
        common = f"--workers 1 --bind 127.0.0.1:{port} --backlog 2048 --log-level warning"
        common += f" --worker-connections {CONNECTIONS} --keep-alive 75 --timeout 300"
        common += f" --no-control-socket --worker-tmp-dir {folder}"
        return python("gunicorn", *common.split(), *options.split(), f"benchmarks.peers.apps.{app}")

    return command


def gthread(app: str, *, threads: int) -> Command:
    return gunicorn(app, f"--worker-class gthread --threads {threads}")


def gevent(app: str) -> Command:
    return gunicorn(app, "--worker-class gevent")


def aiohttp(app: str) -> Command:
    return lambda port, upstream_url, folder: python(f"benchmarks.peers.apps.{app}")


def node(app: str) -> Command:
    """Run it in the folder: its modules are looked for beside it."""

    def command(port: int, upstream_url: str, folder: Path) -> list[str]:
        (folder / app).write_bytes((APPS / app).read_bytes())
        (folder / "node_modules").symlink_to(NODE / "node_modules")
        return ["node", str(folder / app)]

    return command
