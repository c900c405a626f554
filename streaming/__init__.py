"""fanstream: one request, many upstream calls, each answer pushed on the moment it arrives.

streaming.flask, streaming.quart    for an application: create_app, blueprint, event_stream
streaming.engine                    all that waits
streaming.core                      the pure core
"""

from streaming.core.event import Event
from streaming.core.feed import Feed, Param, Upstream
from streaming.core.settings import AuthSettings, LogSettings, ServerSettings, Settings
from streaming.engine.merge import merge

__all__ = [
    "AuthSettings",
    "Event",
    "Feed",
    "LogSettings",
    "Param",
    "ServerSettings",
    "Settings",
    "Upstream",
    "merge",
]
