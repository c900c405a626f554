"""Which format a response is written in: `?format=`, then `Accept` (RFC 9110, section 12.5.1).

A format is as welcome as the most specific range that matches its media type says; a quality of 0
excludes it. Between equals the one that the client named goes before one that only a wildcard lets
pass, then `FORMATS` decides: the order of an `Accept` header means nothing, as in the RFC.
Parameters other than `q` are passed over, and so is a part that is malformed; a header without a
valid part is as none at all.
"""

import re
from functools import lru_cache

from streaming.core.errors_request import NotAcceptable
from streaming.core.wire import WIRES

FORMATS = ("sse", "ndjson", "json", "text")
"""Names of `?format=`, the first preferred where a client likes several the same.

`json` stands before `text` for clients whose default is `application/json, text/plain, */*`: they
parse JSON."""

MAX_ACCEPT_CHARS = 4096
"""Characters of an `Accept` header; a longer one is refused as not acceptable."""

_MEDIA_TYPES = {"json": "application/json"} | {
    name: wire.content_type.partition(";")[0] for name, wire in WIRES.items()
}

# A browser asks for a page when a person opens the address, and shows a stream as it comes. NDJSON
# has no registered type; these are in use for the same thing.
_ALIASES = {
    "sse": ("text/html",),
    "ndjson": ("application/ndjson", "application/jsonl", "application/x-jsonlines"),
}

_STREAM_TYPES = frozenset([*_ALIASES["ndjson"], *(_MEDIA_TYPES[name] for name in WIRES)])

# A quoted string may hold a separator; one that is never closed reaches to the end.
_QUOTED = r'"(?:[^"\\]|\\.)*"?'
_PARTS = re.compile(rf'(?:{_QUOTED}|[^",])+', re.DOTALL)
_FIELDS = re.compile(rf'(?:{_QUOTED}|[^";])+', re.DOTALL)

_TCHARS = r"[a-z0-9!#$%&'+.^_`|~-]+"
_RANGE = re.compile(rf"\*/\*|{_TCHARS}/(?:\*|{_TCHARS})")
_QUALITY = re.compile(r"0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?")


def media_type(format: str) -> str:
    """Return the `Content-Type` of a format."""
    return WIRES[format].content_type if format in WIRES else _MEDIA_TYPES[format]


def choose_format(*, format: str | None, accept: str | None) -> str:
    """Choose the format of a response.

    Args:
        format: The value of `?format=`; None where there is none. It goes before `Accept`.
        accept: The `Accept` header, several joined by commas; None where there is none.

    Raises:
        NotAcceptable: The format is unknown, or `accept` lets none of the formats pass.
    """
    if format is not None:
        if format not in FORMATS:
            raise NotAcceptable(FORMATS)
        return format
    return _choose_by_accept(accept)


def names_stream_type(accept: str | None) -> bool:
    """Say whether `Accept` prefers a stream that it names itself, by no wildcard.

    It decides what a POST answers: the stream, or where to find it. `text/html` names a page.
    """
    try:
        qualities = _qualities(accept)
        chosen = _choose(qualities)
    except NotAcceptable:
        return False
    types = (_MEDIA_TYPES[chosen], *_ALIASES.get(chosen, ()))
    return any(qualities.get(name) for name in types if name in _STREAM_TYPES)


@lru_cache(maxsize=64)
def _choose_by_accept(accept: str | None) -> str:
    """Choose by what most clients say alike, so that it is read once."""
    return _choose(_qualities(accept))


def _choose(qualities: dict[str, float]) -> str:
    # max() keeps the first of equals.
    best = max(FORMATS, key=lambda name: _welcome(name, qualities))
    if _welcome(best, qualities)[0] == 0:
        raise NotAcceptable(_available())
    return best


def _available() -> tuple[str, ...]:
    return tuple(_MEDIA_TYPES[name] for name in FORMATS)


def _welcome(name: str, qualities: dict[str, float]) -> tuple[float, bool]:
    """Answer a format's quality, and whether it was named."""
    media_type = _MEDIA_TYPES[name]
    if media_type in qualities:
        return qualities[media_type], True
    # An alias can only ask for the format: who refuses a page has not refused a stream.
    if quality := max((qualities.get(alias, 0.0) for alias in _ALIASES.get(name, ())), default=0.0):
        return quality, True
    family = media_type.partition("/")[0] + "/*"
    return qualities.get(family, qualities.get("*/*", 0.0)), False


def _qualities(accept: str | None) -> dict[str, float]:
    """Answer the quality of each valid range; of one that comes twice, the higher."""
    if accept is not None and len(accept) > MAX_ACCEPT_CHARS:
        raise NotAcceptable(_available())
    qualities: dict[str, float] = {}
    for part in _PARTS.findall(accept or ""):
        media_range, *parameters = _FIELDS.findall(part) or [""]
        media_range, quality = media_range.strip(" \t").lower(), _quality(parameters)
        if quality is not None and _RANGE.fullmatch(media_range):
            qualities[media_range] = max(quality, qualities.get(media_range, 0.0))
    return qualities or {"*/*": 1.0}


def _quality(parameters: list[str]) -> float | None:
    """Answer the quality that the parameters give: 1 by default, None where it is malformed."""
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip(" \t").lower() == "q":
            value = value.strip(" \t")
            return float(value) if _QUALITY.fullmatch(value) else None
    return 1.0
