"""A viewer that leaves is noticed, be its stream talking or silent; measured at the upstream.

From the client's close until the upstream sees its own connection closed, with the `ping_interval`
of 15 s that is the default: no beat helps. The client has read all that came, so that it closes in
order; with something unread its kernel would reset the connection, which is easier to notice.
"""

import socket
import time
from contextlib import ExitStack

import pytest

from tests.servers.connections import read_to_end, read_until, stream_socket
from tests.servers.stacks import NEWER_STACKS, STACKS
from tests.viewing import ask

VIEWERS = 3

# Seconds beyond those in which a viewer that has gone is noticed.
MARGIN = 0.5


@pytest.mark.parametrize("stack", [*STACKS, *NEWER_STACKS], ids=str, indirect=True)
@pytest.mark.parametrize(
    ("feed", "path", "last"),
    [("talking", "/lines/{}", b"line 2"), ("held", "/held/{}", b"start")],
    ids=["talking", "silent"],
)
def test_a_viewer_that_leaves_is_noticed(stack, served, upstreams, record, key, feed, path, last):
    """The last viewer's leaving ends the upstream calls within a second, by whatever means."""
    keys = [f"{key}-{n}" for n in range(VIEWERS)]
    with ExitStack() as viewers:
        for each in keys:
            target = f"/feeds/{feed}?key={each}&format=ndjson"
            read_until(viewers.enter_context(stream_socket(served.port, target)), last)
            upstreams.wait_calls(path.format(each))
        left = time.monotonic()
    for each in keys:
        upstreams.wait_closed_by_peer(path.format(each), timeout=10.0)
    noticed = time.monotonic() - left
    record(stack, "leaves, talking" if feed == "talking" else "leaves, silent", noticed)
    assert noticed < stack.noticed_within


def test_a_client_that_closes_one_side(stack, served, upstreams, record, key):
    """A client that says that it will send no more is either read to the end or let go whole."""
    with stream_socket(served.port, f"/feeds/held?key={key}&format=ndjson") as connection:
        read_until(connection, b"start")
        upstreams.wait_calls(f"/held/{key}")
        connection.shutdown(socket.SHUT_WR)
        try:
            upstreams.wait_closed_by_peer(f"/held/{key}", timeout=stack.noticed_within + MARGIN)
        except TimeoutError:
            ask(upstreams.base_url, f"/release/{key}")
        is_kept = b'"finished"' in read_to_end(connection)
    record(stack, "half-closed", "kept" if is_kept else "lost")
    assert is_kept is not bool(upstreams.closed_by_peer[f"/held/{key}"])
