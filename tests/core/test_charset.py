"""The declared charset: which are known, under which names, and which an upstream cannot choose."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.core.charset import declared_charset
from streaming.core.errors_upstream import Undecodable


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "text/plain",
        "text/plain;",
        "text/plain; format=flowed",
        "text/plain; charset=",
        'text/plain; charset=""',
    ],
)
def test_utf8_where_none_is_declared(content_type: str | None) -> None:
    """Text without a charset is UTF-8."""
    assert declared_charset(content_type) == "utf-8"


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain; charset=iso-8859-1",
        "text/plain;charset=ISO-8859-1",
        'text/plain; CharSet="iso-8859-1"',
        "text/plain; charset = 'latin1' ",
        "text/plain; a=b; charset=iso_8859_1:1987; c=d",
    ],
)
def test_as_it_is_declared(content_type: str) -> None:
    """The name counts in any case, quoted or not, among other parameters."""
    assert declared_charset(content_type) == "iso8859-1"


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("utf8", "utf-8"),
        ("utf-16", "utf-16"),
        ("us-ascii", "ascii"),
        ("ANSI_X3.4-1968", "ascii"),
        ("windows-1252", "cp1252"),
        ("iso-8859-15", "iso8859-15"),
        ("koi8-u", "koi8-u"),
        ("shift_jis", "shift_jis"),
        ("euc-kr", "euc_kr"),
        ("gb18030", "gb18030"),
        ("big5", "big5"),
    ],
)
def test_charsets_of_the_web(name: str, codec: str) -> None:
    """What pages are written in is known."""
    assert declared_charset(f"text/plain; charset={name}") == codec


@pytest.mark.parametrize(
    "name",
    [
        *("klingon", "utf-9", "x" * 8000, "é", "\0", "..", "../os", "aliases", "undefined", "-"),
        *("hex", "base64", "zlib", "rot13", "bz2", "quopri", "uu"),
        *("utf-7", "UTF7", "unicode-1-1-utf-7", "unicode_escape", "raw-unicode-escape"),
        *("idna", "punycode", "charmap"),
    ],
    ids=lambda name: ascii(name[:20]),
)
def test_refused(name: str) -> None:
    """What is no charset of text, or gives text that no JSON holds, is not decoded at all."""
    with pytest.raises(Undecodable, match="its declared charset"):
        declared_charset(f"text/plain; charset={name}")


@given(content_type=st.text())
def test_any_header_is_read(content_type: str) -> None:
    """Whatever an upstream declares is a codec or its own fault."""
    with suppress(Undecodable):
        b"".decode(declared_charset(content_type))
