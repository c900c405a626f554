"""What the scenarios of both applications share: the feeds, and words for what is in them."""

from pathlib import Path

FEEDS = (Path(__file__).parent / "feeds.toml").read_text()
"""The feeds, to be put behind the settings of a server."""

SECRET = "s3cr3t-t0ken"
"""What an upstream is sent, and nobody else may see."""

WIRES = ("sse", "ndjson", "text")

MEDIA_TYPES = {
    "sse": "text/event-stream",
    "ndjson": "application/x-ndjson",
    "text": "text/plain; charset=utf-8",
    "json": "application/json",
}
