"""Templates of URLs: parameters in path and query, never in what decides where a call goes.

CONTRACT "Upstream calls", Templates. The template is cut into scheme, host, port, path segments and
query before any value is known, and a value is percent-encoded down to the unreserved characters:
so no value can move a border between those parts.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from streaming.core.errors_request import InvalidParameter
from streaming.core.template import Template, Value, parse, to_text
from streaming.core.url import (
    Origin,
    UrlParts,
    encode_path,
    encode_query,
    encode_value,
    has_control,
    is_dot_segment,
    parse_url,
)

# Stands for a gap while the URL is cut; one that stands in the URL itself is refused before.
_GAP = "\0"
_START = re.compile(r"[^:/?#]*(://[^/?#]*)?")


@dataclass(frozen=True, slots=True)
class _Part:
    """A path segment or query that has gaps, and the encoded text up to the next such part."""

    template: Template
    is_segment: bool
    after: str


@dataclass(frozen=True, slots=True)
class UrlTemplate:
    """A URL whose path and query may have gaps.

    Args:
        origin: Where it leads, whatever the parameters are.
        head: The encoded URL up to the first part that has gaps.
        parts: The parts that have gaps.
    """

    origin: Origin
    head: str
    parts: tuple[_Part, ...]

    def __repr__(self) -> str:
        return f"UrlTemplate(origin={str(self.origin)!r}, names={self.names!r})"

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters that stand in it."""
        return tuple(name for part in self.parts for name in part.template.names)

    def render(self, params: Mapping[str, Value]) -> str:
        """Fill in the URL: absolute, ASCII, to be sent exactly so.

        Raises:
            InvalidParameter: A value makes a path segment `.` or `..`.
        """
        url = self.head
        for part in self.parts:
            text = part.template.render(params, _encode)
            if part.is_segment and is_dot_segment(text):
                raise InvalidParameter(
                    part.template.names[0], "must not make a path segment '.' or '..'"
                )
            url += text + part.after
        return url


def parse_url_template(text: str) -> UrlTemplate:
    """Parse the template of an absolute http or https URL.

    Raises:
        ValueError: Not such a URL, a parameter in scheme, host or port, a user, a fragment, a
            control character, a path segment `.` or `..`. The sentence holds nothing of the text.
    """
    if has_control(text):
        raise ValueError("has a control character, such as the end of a line")
    template = parse(text)
    skeleton = _GAP.join(template.literals)
    _check_start(skeleton)
    url = parse_url(skeleton)
    if url.has_fragment:
        raise ValueError("has a fragment, which is never sent; write %23 for the character #")
    return _Assembly(template, url).build()


def _check_start(skeleton: str) -> None:
    start = _START.match(skeleton)
    if start is not None and _GAP in start[0]:
        raise ValueError("has a parameter in scheme, host or port: it may stand in path and query")


class _Assembly:
    """The making of one UrlTemplate: the static text grows until a part with gaps comes."""

    def __init__(self, template: Template, url: UrlParts) -> None:
        self._names: Iterator[str] = iter(template.names)
        self._url = url
        self._texts = [str(url.origin)]
        self._gapped: list[tuple[Template, bool]] = []

    def build(self) -> UrlTemplate:
        for segment in (self._url.path or "/").split("/")[1:]:
            self._texts[-1] += "/"
            self._add(segment, encode=encode_path, is_segment=True)
        if self._url.query is not None:
            self._texts[-1] += "?"
            self._add(self._url.query, encode=encode_query, is_segment=False)
        head, *after = self._texts
        parts = (_Part(*gapped, text) for gapped, text in zip(self._gapped, after, strict=True))
        return UrlTemplate(self._url.origin, head, tuple(parts))

    def _add(self, text: str, *, encode: Callable[[str], str], is_segment: bool) -> None:
        # Each literal for itself: a `%` before a gap must not take a value as its digits.
        literals = tuple(encode(literal) for literal in text.split(_GAP))
        if len(literals) > 1:
            names = tuple(next(self._names) for _ in literals[1:])
            self._gapped.append((Template(literals, names), is_segment))
            self._texts.append("")
        elif is_segment and is_dot_segment(literals[0]):
            raise ValueError("has a path segment '.' or '..': write the path that it leads to")
        else:
            self._texts[-1] += literals[0]


def _encode(value: Value) -> str:
    return encode_value(to_text(value))
