"""The names of keys and channels in Redis (docs/redis.md, "Keys").

All that a script touches of a run has the run's id for its hash tag, so that it is in one slot of a
cluster. Ids of runs and processes are unguessable, and no secret stands in any of them.
"""

import hashlib

from streaming.core import codec
from streaming.engine.runs import ShareKey

PROCESSES = "fanstream:processes"
"""A sorted set: when each process's lease ends, in milliseconds of the Redis server's clock."""

ORPHANS = "fanstream:orphans"
"""The channel on which a process says that it hands its runs over."""


def meta_key(run: str) -> str:
    """Return the hash that says whose a run is and how far it has come."""
    return f"fanstream:{{{run}}}:meta"


def log_key(run: str) -> str:
    """Return the stream of a run's events; the id of event n is `<n>-0`."""
    return f"fanstream:{{{run}}}:log"


def viewers_key(run: str) -> str:
    """Return the set of the processes where a run has viewers."""
    return f"fanstream:{{{run}}}:viewers"


def wake_channel(run: str) -> str:
    """Return the channel that tells of a run's new events."""
    return f"fanstream:{{{run}}}:wake"


def owned_key(process: str) -> str:
    """Return the set of the runs that a process executes."""
    return f"fanstream:owned:{process}"


def inbox_channel(process: str) -> str:
    """Return the channel on which a process is told what concerns the runs that it executes."""
    return f"fanstream:to:{process}"


def share_name(key: ShareKey) -> str:
    """Return the key that names the live run of all who ask for the same."""
    feed, params, caller = key
    text = codec.encode([feed, params.decode(), caller])
    return f"fanstream:share:{hashlib.sha256(text).hexdigest()}"
