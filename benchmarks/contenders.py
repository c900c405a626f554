"""All contenders: fanstream, the peers, and the C program that shows what the client can take."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from benchmarks.contender import Contender, Cores, Running, Target, Want
from benchmarks.limits import LIMITS
from benchmarks.ours import OURS
from benchmarks.peers.running import running
from benchmarks.peers.table import PEERS, Peer

PATHS = {"delays": "/fanout/delays", "none": "/fanout/none", "first": "/first", "watch": "/watch"}


ON_THREADS = frozenset({"flask-recipe"})
"""Peers that take a thread for each stream, and so no more than 5,000 of them."""


def every() -> list[Contender]:
    return [*OURS, *(_contender(name, peer) for name, peer in PEERS.items()), *LIMITS]


def _contender(name: str, peer: Peer) -> Contender:
    return Contender(
        name=name,
        workloads=_workloads(name, peer),
        packages=peer.packages,
        serve=partial(_serve, peer=peer),
        target=partial(_target, peer=peer),
    )


def _workloads(name: str, peer: Peer) -> frozenset[str]:
    if name not in ON_THREADS:
        return peer.workloads
    return frozenset("idle/5000" if each == "idle" else each for each in peer.workloads)


@contextmanager
def _serve(upstream_port: int, cores: Cores, *, peer: Peer) -> Iterator[Running]:
    url = f"http://127.0.0.1:{upstream_port}"
    with running(peer, upstream_url=url, cores={cores.server}) as server:
        yield Running(port=server.port, pid=server.pid)


def _target(want: Want, *, peer: Peer) -> Target:
    if want.kind == "flat":
        return Target(path=f"/flat?lines={want.lines}")
    path = PATHS[want.kind]
    if want.kind != "watch":
        return Target(path=path)
    head = () if peer.sends_head else ("--no-head",)
    pace = f"{want.rate:g}" if want.rate else ""
    if peer.publishes:
        publishing = ("--publish-rate", pace) if pace else ()
        return Target(path=path, options=("--publish", "/publish", *publishing, *head))
    start = f"/start?lines={want.lines}" + (f"&rate={pace}" if pace else "")
    return Target(path=path, options=("--trigger", start, *head))
