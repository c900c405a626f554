"""Whether two processes mean the same by a feed, so that one may go on with the other's run."""

import hashlib

from streaming.core import codec
from streaming.core.feed import Feed


def fingerprint(feed: Feed) -> str:
    """Return what feeds have in common that call the same upstreams in the same way.

    A digest (SHA-256), as an address may hold a secret; headers hold them often and change with
    them, and are left out. So are bounds and times, which may be tuned while runs are live.
    """
    upstreams = [
        [name, up.method, up.url, up.json, up.read, up.is_repeatable]
        for name, up in feed.upstreams.items()
    ]
    params = [[name, param.type] for name, param in feed.params.items()]
    return hashlib.sha256(codec.encode([feed.name, params, upstreams])).hexdigest()
