"""The demo: upstreams of its own, and the feeds that call them.

`server` opens the upstreams on a port of their own, with real sockets and real delays; `routes` is
what they answer; `python -m streaming.demo` runs them in the foreground; `feeds.toml` is the
configuration that is used when there is none.

The law of this folder: the upstreams stand for other people's services, so they know nothing of
feeds, runs or the engine, and speak to fanstream over HTTP alone.
"""

from pathlib import Path

FEEDS_FILE = Path(__file__).with_name("feeds.toml")
"""The demo's configuration (CONTRACT "Configuration")."""

BASE_URL_VARIABLE = "FANSTREAM_DEMO_UPSTREAMS"
"""The environment variable by which `feeds.toml` finds the upstreams: `http://host:port`."""
