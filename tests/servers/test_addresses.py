"""Whose stream it is, by the address of its client: the peer's own, or what a trusted proxy names.

Servers have options of their own for whom to believe, and would pass on another address, or none.
"""

from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from tests.servers.side_by_side import side_by_side
from tests.servers.stacks import STACKS, serving_stack
from tests.viewing import ask, watching

# Of documentation (RFC 5737): no machine has them.
ONE, OTHER = "203.0.113.1", "198.51.100.2"

TRUSTING = 'trusted_proxies = ["127.0.0.1"]'


@dataclass(frozen=True, kw_only=True)
class Counted:
    """The statuses of streams that two clients behind a proxy ask for, one stream being allowed.

    Args:
        untrusted: Of each, where the proxy is not trusted.
        trusted: Of each, and of the first once more, where it is.
    """

    untrusted: list[int]
    trusted: list[int]


def count(stack, upstreams, folder):
    """Ask in the name of several clients, of a server that does not trust and one that does."""
    return Counted(
        untrusted=_statuses(stack, upstreams, folder, more="", clients=[ONE, OTHER]),
        trusted=_statuses(stack, upstreams, folder, more=TRUSTING, clients=[ONE, OTHER, ONE]),
    )


def _statuses(stack, upstreams, folder, *, more, clients):
    more = f"max_streams_per_address = 1\n{more}"
    with (
        serving_stack(stack, upstreams, folder=folder, more=more) as served,
        ExitStack() as viewers,
    ):
        statuses = []
        for n, address in enumerate(clients):
            path, headers = f"/feeds/held?key={n}", {"X-Forwarded-For": address}
            # What is refused is no stream that could be read.
            viewer = viewers.enter_context(watching(served.base_url, path, headers=headers))
            statuses.append(viewer.response.status_code)
        assert ask(served.base_url, "/healthz").status_code == 200
    return statuses


@pytest.fixture(scope="module")
def counts(request, upstreams, tmp_path_factory):
    def run(stack):
        return count(stack, upstreams, tmp_path_factory.mktemp(str(stack)))

    with side_by_side(request, run) as result_of:
        yield result_of


@pytest.fixture
def counted(counts, case):
    """What two clients of a stack were answered."""
    if case.is_missing:
        pytest.skip(f"{case.name} is not installed")
    return counts(case)


each_stack = pytest.mark.parametrize("case", STACKS, ids=str)


@each_stack
def test_nobody_names_another_address(counted):
    """Without a proxy that is trusted it is the peer's that counts, whatever is in the head."""
    assert counted.untrusted == [200, 503]


@each_stack
def test_a_trusted_proxy_names_its_clients(counted):
    """Each of them may have a stream, and none may have two."""
    assert counted.trusted == [200, 200, 503]
