r"""A parameter's pattern as JSON Schema has it: ECMA-262, and anchored, as it would match anywhere.

JSON Schema 2020-12, section 6.4. What is written here means the same to a browser and to a tool in
Python, as far as it can: `\d`, `\s` and `\w` stay as they are, and are ASCII's to a browser. What
only Python understands has no translation. A NUL, which no value may have, is left out of whatever
would let it pass, so that who makes values from the document makes none that is refused.
"""

import re

_TOKEN = re.compile(
    r"""
      \\(?P<escape>x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|[0-9]+|.)
    | \[(?P<negation>\^?)(?P<members>\]?(?:\\.|[^\]\\])*)\]
    | (?P<named>\(\?P<\w+>)
    | (?P<group>\((?:\?(?:[:=!]|<[=!]))?(?!\?))
    | (?P<comment>\(\?\#[^)]*\))
    | (?P<quantifier>(?:[*+?]|\{(?P<least>[0-9]*)(?P<most>,[0-9]*)?\}(?<!\{\}))\??(?!\+))
    | (?P<char>(?!\{[0-9]+(?:,[0-9]*)?\}|\{,[0-9]*\})[^(*+?])
    """,
    re.VERBOSE | re.DOTALL,
)
_MEMBER = re.compile(
    r"\\(?P<escape>x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|[0-9]+|.)|(?P<char>.)",
    re.DOTALL,
)

# ECMA-262 lets these, and no others, be escaped where it reads a pattern as Unicode.
_SYNTAX = frozenset("^$\\.*+?()[]{}|/")
_ANY = r"[^\x00]"
_OUTSIDE = {
    **{letter: f"\\{letter}" for letter in "dswbBnrtfv"},
    **{letter: rf"[^\{letter.lower()}\x00]" for letter in "DSW"},
    "A": "^",
    "Z": "$",
    "z": "$",
    "a": r"\x07",
}
_INSIDE = {**{letter: f"\\{letter}" for letter in "dswDSWbnrtfv"}, "a": r"\x07", "-": r"\-"}


class _Untranslatable(ValueError):
    """A construct that only Python has."""


def anchored_pattern(pattern: str) -> str | None:
    """Return a pattern that matches, anywhere, the texts that Python's `fullmatch` matches.

    Args:
        pattern: What `re.compile` takes with DOTALL, as a parameter's is compiled.

    Returns:
        None where the pattern has what only Python understands: flags, conditions, possessive
        quantifiers, references by name, octal escapes.
    """
    try:
        return f"^(?:{_translate(pattern)})$"
    except _Untranslatable:
        return None


def _translate(pattern: str) -> str:
    written, at = "", 0
    while at < len(pattern):
        token = _TOKEN.match(pattern, at)
        if token is None:
            raise _Untranslatable
        written += _write(token)
        at = token.end()
    return written


def _write(token: re.Match[str]) -> str:
    if token["escape"]:
        return _write_escape(token["escape"], _OUTSIDE)
    if token["members"] is not None:
        return _write_class(token["members"], is_negated=bool(token["negation"]))
    if token["named"]:
        return "("
    if token["comment"]:
        return ""
    if token["most"] is not None and not token["least"]:
        return token[0].replace("{", "{0", 1)
    if token["char"] == ".":
        return _ANY
    return f"\\{token[0]}" if token["char"] in ("{", "}", "]") else token[0]


def _write_class(members: str, *, is_negated: bool) -> str:
    written = "".join(map(_write_member, _MEMBER.finditer(members)))
    if not is_negated:
        return f"[{written}]"
    return f"[^{written}]" if r"\x00" in written else rf"[^\x00{written}]"


def _write_member(token: re.Match[str]) -> str:
    if token["escape"]:
        return _write_escape(token["escape"], _INSIDE)
    return f"\\{token[0]}" if token[0] in ("[", "]") else token[0]


def _write_escape(escape: str, letters: dict[str, str]) -> str:
    first = escape[0]
    if escape in letters:
        return letters[escape]
    if first == "U":
        point = int(escape[1:], 16)
        return chr(point) if point > 0xFFFF else f"\\u{point:04x}"
    if len(escape) > 1 and first in "xu":
        return f"\\{escape}"
    if first.isdigit():
        # Two digits or more are a reference to one reader, and an octal number to another.
        if letters is _INSIDE or first == "0" or len(escape) > 1:
            raise _Untranslatable
        return f"\\{escape}"
    if first.isascii() and first.isalpha():
        raise _Untranslatable
    return f"\\{first}" if first in _SYNTAX else first
