"""What a client may know of feeds: their parameters and the names of their upstreams.

Never an upstream's address, headers or bounds: those are the operator's.
"""

from typing import Any

from streaming.core.feed import Feed
from streaming.core.param import Param


def describe_feed(feed: Feed) -> dict[str, Any]:
    """Return what `GET /feeds` says of a feed."""
    return {
        "name": feed.name,
        "title": feed.title,
        "params": {name: describe_param(param) for name, param in feed.params.items()},
        "upstreams": list(feed.upstreams),
    }


def describe_param(param: Param) -> dict[str, Any]:
    """Return what a form needs of a parameter; without `default` it is required."""
    described = {
        "type": param.type,
        "pattern": param.pattern,
        "max_length": param.max_length,
        "label": param.label,
    }
    return described if param.default is None else {**described, "default": param.default}
