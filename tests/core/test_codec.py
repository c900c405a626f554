"""JSON, strictly: what passes unchanged, what is refused, and that the two parsers agree."""

import dataclasses
import datetime as dt
import enum
import json
import math
import uuid
from contextlib import suppress
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streaming.core import codec

# Python prints no longer ones as text.
LONG = b"1234567890" * 500
THIRTY = b"123456789012345678901234567890"


# ----------------------------------------------------------------------- what is unchanged


@pytest.mark.parametrize(
    "text",
    [
        THIRTY,
        b"-" + THIRTY,
        b"18446744073709551616",
        b"-9223372036854775809",
        b"9" * 4299,
        b"9" * 4300,
        b"9" * 4301,
        LONG,
        b"-" + LONG,
        b"[" + LONG + b"," + LONG + b"]",
        b'{"a":null,"b":' + LONG + b"}",
        b'{"b":{"c":[' + THIRTY + b']},"a":[' + LONG + b",null,true]}",
        b'{"z":1,"a":2,"m":3}',
        '"é\u2028\U0001f600"'.encode(),
        b'"a\\u0000\\"\\\\b"',
        b"1.5",
        b"-0.0",
        b"5e-324",
        b"1.7976931348623157e308",
        b"[]",
        b"{}",
        b'""',
        b"null",
        b'{"":""}',
    ],
    ids=lambda text: text[:12].decode("ascii", "replace"),
)
def test_unchanged(text: bytes) -> None:
    """What is read is written again byte for byte."""
    assert codec.encode(codec.decode(text)) == text


def test_last_of_duplicate_keys() -> None:
    """Of keys that come twice the last one counts, beside long integers too."""
    assert codec.decode(b'{"a":1,"b":2,"a":3}') == {"a": 3, "b": 2}
    assert codec.decode(b'{"a":' + LONG + b',"b":2,"a":3}') == {"a": 3, "b": 2}


def test_integers_are_integers() -> None:
    """An integer that a double cannot hold is not rounded to one."""
    assert codec.decode(b"[" + THIRTY + b"]") == [int(THIRTY)]


def test_byte_order_mark() -> None:
    """One mark before the text is passed over, a second one is not JSON."""
    assert codec.decode(b"\xef\xbb\xbf[1]") == codec.decode("\ufeff[1]") == [1]
    with pytest.raises(ValueError, match="not JSON"):
        codec.decode(b"\xef\xbb\xbf\xef\xbb\xbf[1]")


# ------------------------------------------------------------------------ what is refused


@pytest.mark.parametrize(
    "text",
    [
        *(b"NaN", b"-NaN", b"Infinity", b"-Infinity", b"[1e400]", b"-1e400", b"[1e400,NaN]"),
        *(
            b"9" * 400 + b".0",
            b'{"a":1e400,"a":1}',
            b'{"b":' + LONG + b',"a":NaN,"a":1}',
            b"[" + LONG + b",NaN]",
            b"[" + LONG + b",Infinity]",
        ),
        *(b'"\\ud800"', b'"\\udc00"', b'"\\ud800\\u0041"', b'{"\\ud800":1}', b'"\xed\xa0\x80"'),
        *(
            b"[" + LONG + b',"\\ud800"]',
            b"[" + LONG + b',"\xed\xa0\x80"]',
            b'["\xff",' + LONG + b"]",
        ),
        *(b'"\xff"', b'{"\xff":1}', b"\xff\xfe1\x00", "é".encode("latin-1")),
        *(b"", b" ", b"\xef\xbb\xbf", b"nul", b"1 2", b"[1,]", b"{,}", b"[", b"]", b'"', b"'a'"),
        *(b"01", b"+1", b"1.", b".5", b"1e", b"-", b"0x1", b"1_000", b"\xa01", b"1\x00"),
        *(b'"\t"', b'"\n"', b'"\x00"', b'"\\x41"', b'"\\u00g0"', b"//\n1", b"{1:2}", b"{a:1}"),
        *(LONG + b"x", LONG + b" 1", b"0" + LONG, b"[" + LONG + b",]"),
    ],
    ids=lambda text: repr(text[:14]),
)
def test_refused(text: bytes) -> None:
    """What is not JSON, or cannot be passed on as it stands, is a ValueError and nothing else."""
    with pytest.raises(ValueError):  # noqa: PT011 - the sentence is the parser's
        codec.decode(text)


def test_text_with_a_lone_surrogate() -> None:
    """Text that has no form in UTF-8 is no JSON text."""
    with pytest.raises(ValueError, match="surrogates not allowed"):
        codec.decode('"\ud800"')


@pytest.mark.parametrize("pair", [(b"[", b"]"), (b'{"a":', b"}"), (b'[{"a":[1,', b"]}]")])
def test_depth(pair: tuple[bytes, bytes]) -> None:
    """At the bound of depth it is read, beyond it refused, however the levels are made."""
    opening, closing = pair
    step = opening.count(b"[") + opening.count(b"{")
    depth = codec.MAX_DEPTH // step
    at = opening * depth + b"1" + closing * depth
    codec.encode({"body": {"in": codec.decode(at)}})
    with pytest.raises(ValueError, match="nested too deeply"):
        codec.decode(b"[" * step + at + b"]" * step)


@pytest.mark.parametrize("text", [b"[" * 10**6, b"[1e400," + b"[" * 10**6, b'{"a":' * 10**6])
def test_abyss(text: bytes) -> None:
    """A million levels are refused like any other text."""
    with pytest.raises(ValueError):  # noqa: PT011 - the sentence is the parser's
        codec.decode(text)


@pytest.mark.parametrize("inner", [b'"' + b"[{" * 2000 + b'"', b"[" * 499 + b"]" * 499])
def test_many_brackets_are_not_deep(inner: bytes) -> None:
    """The bound counts levels: arrays side by side, or brackets in text, are read beside them."""
    many = b"[" + b"[]," * 2000 + inner + b"]"
    assert len(codec.decode(many)) == 2001


# ------------------------------------------------------------------- a caller's own values


class Colour(enum.Enum):
    RED = 1
    NONE = math.nan


@dataclasses.dataclass
class Point:
    x: Any


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"\xff", b'"/w=="'),
        ({3}, b"[3]"),
        ((1, (2,)), b"[1,[2]]"),
        (dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC), b'"2026-01-02T03:04:05Z"'),
        (dt.date(2026, 1, 2), b'"2026-01-02"'),
        (uuid.UUID(int=1), b'"00000000-0000-0000-0000-000000000001"'),
        (Decimal("1.50"), b'"1.50"'),
        (Colour.RED, b"1"),
        (Point(Point(None)), b'{"x":{"x":null}}'),
        ({1: "a"}, b'{"1":"a"}'),
        (2**64, b"18446744073709551616"),
        (msgspec.Raw(b"[1, 2]"), b"[1, 2]"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_own_values(value: Any, text: bytes) -> None:
    """What a program has beside JSON's own types is written, beside a null as well."""
    assert codec.encode(value) == text
    assert codec.encode([None, value]) == b"[null," + text + b"]"


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(
    "around",
    [
        lambda number: number,
        lambda number: [None, number],
        lambda number: {"a": None, "b": {"c": (1, [number])}},
        lambda number: [{number}],
        lambda number: Point([Point(number)]),
        lambda number: [10**30, b"a", uuid.UUID(int=1), number],
        lambda number: [msgspec.Raw(b"1"), number],
    ],
)
def test_no_number_refused(around: Any, number: float) -> None:
    """NaN and infinity are refused wherever they stand, and never become null."""
    with pytest.raises(ValueError, match="NaN and infinity"):
        codec.encode(around(number))


def test_no_number_in_an_enum() -> None:
    """A member whose value is NaN is no better than NaN."""
    with pytest.raises(ValueError, match="NaN and infinity"):
        codec.encode([Colour.NONE])


@pytest.mark.parametrize(
    "value",
    [
        [None, "null", {"null": None}],
        [None, 2**64 - 1, -(2**63), 10**30],
        [None, 0xCB7FF0000000, 0xCBFFF8000000, -0x3480100000000001, 1.5],
        [None, b"\xcb\x7f\xf8" * 9, "\u02ff\u02ff"],
        {"a": None, "nan": "NaN", "b": 1.7976931348623157e308},
    ],
    ids=str,
)
def test_null_beside_numbers(value: Any) -> None:
    """A null that is meant is written, whatever bytes stand beside it."""
    assert json.loads(codec.encode(value)) == json.loads(
        json.dumps(value, default=lambda data: "y3/4" * (len(data) // 3))
    )


@pytest.mark.parametrize("value", ["\ud800", ["\udfff"], {"\ud800": 1}])
def test_lone_surrogate_refused(value: Any) -> None:
    """A string that has no form in UTF-8 has none in JSON."""
    with pytest.raises(ValueError, match="lone surrogate"):
        codec.encode(value)


def test_cycle_refused() -> None:
    """A value that holds itself is refused, and does not go on for ever."""
    value: dict[str, Any] = {"a": None}
    value["b"] = value
    with pytest.raises(ValueError, match="in a cycle"):
        codec.encode(value)


@pytest.mark.parametrize("value", [object(), {(1, 2): 3}, {None: 1}, int])
def test_type_refused(value: Any) -> None:
    """A type that has no JSON form is a TypeError, with a null beside it too."""
    with pytest.raises(TypeError):
        codec.encode([None, value])


@pytest.mark.parametrize("raw", [b"[1,\n2]", b"1\r", b"1\n\nevent: x"])
def test_raw_json_of_several_lines_refused(raw: bytes) -> None:
    """JSON that a caller has ready must stand on one line, as every wire counts on it."""
    with pytest.raises(ValueError, match="one line"):
        codec.encode({"a": msgspec.Raw(raw)})


def test_members() -> None:
    """The members of an object are had without reading their values."""
    members = codec.decode_members(b'{"a":' + LONG + b',"\\u00e9":{"b":1.50},"c":[]}')
    assert {key: bytes(value) for key, value in members.items()} == {
        "a": LONG,
        "é": b'{"b":1.50}',
        "c": b"[]",
    }


# ----------------------------------------------------------------------------- properties

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**40), 10**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(value=values)
@settings(deadline=None)
def test_there_and_back(value: Any) -> None:
    """Every JSON value comes back, on one line, in the order of its keys."""
    encoded = codec.encode(value)
    assert b"\n" not in encoded
    again = codec.decode(encoded)
    assert (again, str(again)) == (value, str(value))


tokens = st.sampled_from(
    [
        *'[]{},:" \n-',
        *"0 1 12 1e3 1E+2 0.5 1e400 NaN null true false".split(),
        *('"a"', '"a":', '"\\ud83d\\ude00"', '"\\n"'),
        *(THIRTY.decode(), LONG.decode()),
    ]
)


def as_python_reads(text: str) -> Any:
    """Read as the standard library does, without what it takes beyond the standard."""

    def refuse(what: str) -> None:
        raise ValueError(what)

    def finite(digits: str) -> float:
        return float(digits) if math.isfinite(float(digits)) else refuse(digits)  # type: ignore[return-value]

    def whole(digits: str) -> Any:
        return int(digits) if len(digits) < 4000 else digits

    value = json.loads(text, parse_constant=refuse, parse_float=finite, parse_int=whole)
    json.dumps(value, ensure_ascii=False).encode()
    return value


def with_digits(value: Any) -> Any:
    """Put the digits in the place of the integers that are not read as such."""
    if isinstance(value, msgspec.Raw):
        return bytes(value).decode()
    if isinstance(value, dict):
        return {key: with_digits(inner) for key, inner in value.items()}
    return [with_digits(inner) for inner in value] if isinstance(value, list) else value


@given(text=st.lists(tokens, max_size=12).map("".join))
@settings(deadline=None, max_examples=500)
def test_agrees_with_the_standard_library(text: str) -> None:
    """Both refuse a text, or both read the same out of it."""
    try:
        expected = as_python_reads(text)
    except ValueError:
        with pytest.raises(ValueError):  # noqa: PT011 - the sentence is the parser's
            codec.decode(text)
    else:
        assert with_digits(codec.decode(text)) == expected


@given(data=st.binary(max_size=40))
def test_only_value_errors(data: bytes) -> None:
    """Bytes of any kind are a value or a ValueError."""
    with suppress(ValueError):
        codec.decode(data)


@given(texts=st.lists(st.lists(tokens, max_size=6).map("".join).map(str.encode), max_size=4))
@settings(deadline=None, max_examples=300)
def test_many_at_once_are_the_same(texts: list[bytes]) -> None:
    """What is read out of several at once is what each holds; else nothing is said of them."""
    values = codec.decode_all(texts)
    if values is not None:
        assert repr(values) == repr([codec.decode(text) for text in texts])


def test_many_at_once_are_read() -> None:
    """Nearly always; one that is long, wrong or too wide has each looked at by itself."""
    assert codec.decode_all([b'{"a":1}', b" [1.5]"]) == [{"a": 1}, [1.5]]
    for text in (b"", b"nul", LONG, b'"' + b"x" * 2 * codec.MAX_DEPTH + b'"', b"[1e400]"):
        assert codec.decode_all([b"1", text]) is None
