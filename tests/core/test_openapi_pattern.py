"""Patterns for JSON Schema: anchored, and the same to ECMA-262 as to Python."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.core.openapi_pattern import anchored_pattern

PIECES = (
    *("a", "b", ".", "(a|b)", "(?:ab)", "(?=a)", "(?<!b)", "(?#note)"),
    *("[ab]", "[^a]", "[]a]", "[^]a]", "[a[]", "[\\-a]", "[a.]", "[^\\x00a]"),
    *("a*", "a+?", "b?", "a{2}", "a{,2}", "a{1,}", "a{2", "{}", "{a}", "}", "]"),
    *("\\d", "\\D", "\\w", "\\W", "\\s", "\\S", "\\-", "\\.", "\\ ", "\\/", "\\\\", "\\n"),
    *("\\x41", "\\u00e9", "\\U00000028", "\\U0001F600", "^", "\\A", "é"),
)


@pytest.mark.parametrize(
    ("pattern", "written"),
    [
        (".*", r"[^\x00]*"),
        ("a|b", "a|b"),
        ("[^0-9]", r"[^\x000-9]"),
        (r"[^\x00-\x1f]", r"[^\x00-\x1f]"),
        ("[].[]", r"[\].\[]"),
        (r"\S", r"[^\s\x00]"),
        (r"\-\@\.", r"-@\."),
        (r"[\-\@]", r"[\-@]"),
        ("a{,3}", "a{0,3}"),
        ("a{b}", r"a\{b\}"),
        ("(?P<year>[0-9]+)", "([0-9]+)"),
        ("a(?#note)b", "ab"),
        (r"\Aa\Z", "^a$"),
        (r"\U00000028", r"\u0028"),
        (r"(a)\1", r"(a)\1"),
    ],
)
def test_translation(pattern: str, written: str) -> None:
    """What the two write differently is written as ECMA-262 does."""
    assert anchored_pattern(pattern) == f"^(?:{written})$"


@pytest.mark.parametrize(
    "pattern",
    [
        "(?i)a",
        "(?i:a)",
        "a*+",
        "a{2}+",
        "(?>a)",
        "(a)(?(1)b)",
        "(?P<n>a)(?P=n)",
        r"\012",
        r"[\1]",
        r"\N{DIGIT ONE}",
    ],
)
def test_what_only_python_has(pattern: str) -> None:
    """A construct that ECMA-262 lacks leaves no pattern, rather than one that breaks its reader."""
    re.compile(pattern)
    assert anchored_pattern(pattern) is None


@given(
    pieces=st.lists(st.sampled_from(PIECES), min_size=1, max_size=4),
    text=st.text(st.sampled_from("ab.A1- {}[]()/\\@\té😀"), max_size=6),
)
def test_means_the_same(pieces: list[str], text: str) -> None:
    """Found anywhere, the translation matches just the texts that the original matches whole."""
    pattern = "".join(pieces)
    written = anchored_pattern(pattern)
    assert written is not None
    matches = re.compile(pattern, re.DOTALL).fullmatch(text) is not None
    assert (re.search(written, text) is not None) == matches
