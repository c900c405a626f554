"""A viewer that leaves is noticed, be its stream talking or silent; measured at the upstream.

From the client's close until the upstream sees its own connection closed, with the `ping_interval`
of 15 s that is the default: no beat helps. The client has read all that came, so that it closes in
order; with something unread its kernel would reset the connection, which is easier to notice.
"""

import time
from contextlib import ExitStack

import pytest

from tests.servers.connections import read_until, stream_socket
from tests.servers.stacks import NEWER_STACKS, STACKS

VIEWERS = 3


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
