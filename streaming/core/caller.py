"""Who asks, and what they may: the rights that the claims of a token give (CONTRACT `[auth]`).

The claims were verified before they come here; see `streaming.engine.tokens`. Where nobody is asked
who they are, everyone is `ANYONE`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from streaming.core import codec
from streaming.core.errors_request import Forbidden, InvalidToken
from streaming.core.feed import Feed

ALL_FEEDS = "*"
"""What stands among the names of the claim `feeds` for every feed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who sent a request.

    Args:
        id: Tells callers apart; empty for all who do not say who they are.
        feeds: The names of the feeds that they may run and watch, `ALL_FEEDS` for every one.
        may_stop: Whether they may end a run for all of its viewers.
        expires: When all of this ends, in seconds of Unix time; None for never.
    """

    id: str = ""
    feeds: frozenset[str] = frozenset({ALL_FEEDS})
    may_stop: bool = True
    expires: float | None = None

    def may_run(self, feed: str) -> bool:
        """Say whether they may run and watch a feed, whether or not there is one of that name."""
        return ALL_FEEDS in self.feeds or feed in self.feeds

    def check_feed(self, feed: str) -> None:
        """Refuse a feed that they may not run.

        Raises:
            Forbidden: It is one.
        """
        if not self.may_run(feed):
            raise Forbidden(f"run feed {feed!r}")

    def may_watch(self, feed: Feed, *, started_by: str) -> bool:
        """Say whether they may read a run: their own, or one of a feed that all who run it share.

        Args:
            feed: The run's feed.
            started_by: The id of who started it.
        """
        return self.may_run(feed.name) and (feed.share == "all" or started_by == self.id)


ANYONE = Caller()
"""Who sends a request where nobody is asked."""


def caller_of(claims: Mapping[str, Any]) -> Caller:
    """Return the caller that a token's claims describe.

    `sub` names them within `iss` (RFC 7519 section 4.1.2). Tokens that name nobody are one caller.

    Raises:
        InvalidToken: A claim is not what it has to be.
    """
    named = claims.get("sub")
    if named is not None and not isinstance(named, str):
        raise InvalidToken("its claim sub is not a string")
    return Caller(
        id=_identity(claims.get("iss"), named) if named else "",
        feeds=_feeds(claims.get("feeds", [])),
        may_stop=_flag(claims.get("stop", False)),
        expires=_time(claims.get("exp")),
    )


def _identity(issuer: Any, named: str) -> str:
    try:
        return codec.encode([issuer, named]).decode()
    except ValueError as exc:
        raise InvalidToken("its claim sub, or iss, has no JSON form") from exc


def _feeds(value: Any) -> frozenset[str]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise InvalidToken("its claim feeds is not a list of names")
    return frozenset(value)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise InvalidToken("its claim stop is neither true nor false")
    return value


def _time(value: Any) -> float | None:
    if value is None:
        return None
    # A boolean is a number in Python, and none in JSON.
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise InvalidToken("its claim exp is not a number")
    try:
        seconds = float(value)
    except OverflowError:
        seconds = math.inf
    if not math.isfinite(seconds):
        raise InvalidToken("its claim exp is not a time")
    return seconds
