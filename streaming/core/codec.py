"""JSON as fanstream reads and writes it.

RFC 8259, strictly: what is not JSON there (NaN, Infinity, a lone surrogate, wrong UTF-8) is an
error here too, and a value that was read is written again unchanged: integers of any size, the
order of keys, the last of duplicate keys. msgspec does the work; the standard library's parser is
asked only about numbers that msgspec declines.
"""

import json
import math
import re
from collections.abc import Sequence
from typing import Any

import msgspec

MAX_DEPTH = 500
"""Arrays and objects inside one another; what is deeper is refused.

Far enough below what Python can recurse, in any thread, that what was decoded can be encoded again
as a part of something else."""

_decoder = msgspec.json.Decoder()
_members_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_encoder = msgspec.json.Encoder()
_msgpack_encoder = msgspec.msgpack.Encoder()

# As MessagePack writes it: a double whose exponent is all ones.
_NON_FINITE = re.compile(rb"\xcb[\x7f\xff][\xf0-\xff]")

# CPython refuses to convert longer ones to int, as the cost is quadratic (sys.int_info).
_MAX_INT_DIGITS = 4300


def encode(value: Any) -> bytes:
    """Encode a value as compact JSON on one line, in UTF-8.

    Args:
        value: What JSON can say, and what msgspec adds: dataclasses, datetimes, UUIDs, enums.

    Raises:
        ValueError: It has no JSON form: NaN, infinity, a lone surrogate, a cycle; or it is raw JSON
            of the caller's own that does not stand on one line.
        TypeError: A type that has no JSON form.
    """
    try:
        encoded = _encoder.encode(value)
    except UnicodeEncodeError as exc:
        raise ValueError("a lone surrogate has no JSON form") from exc
    except RecursionError as exc:
        raise ValueError("nested too deeply, or in a cycle") from exc
    # msgspec writes `null` for a float that is not finite; only then is a walk worth its cost.
    if b"null" in encoded and _may_hold_non_finite(value) and _holds_non_finite(value):
        raise ValueError("NaN and infinity have no JSON form")
    if b"\n" in encoded or b"\r" in encoded:
        raise ValueError("raw JSON must stand on one line")
    return encoded


def encode_again(value: Any) -> bytes:
    """Encode what `decode` gave, within dicts and lists, beside strings and finite numbers.

    For what was looked at before, at half the cost of `encode`: nothing in it can be without a JSON
    form but text of a charset that has lone surrogates.

    Raises:
        ValueError: A lone surrogate.
    """
    try:
        return _encoder.encode(value)
    except UnicodeEncodeError as exc:
        raise ValueError("a lone surrogate has no JSON form") from exc


def decode(data: bytes | str) -> Any:
    """Decode one JSON text.

    A byte order mark before it is passed over, as RFC 8259 section 8.1 allows. An integer of more
    than 4,300 digits comes back as `msgspec.Raw`, which `encode` writes as it stood.

    Raises:
        ValueError: Not JSON, deeper than `MAX_DEPTH`, or a number that a double cannot hold.
    """
    if isinstance(data, str):
        data = data.encode("utf-8", "strict")
    data = data.removeprefix(b"\xef\xbb\xbf")
    try:
        value = _decoder.decode(data)
    except msgspec.ValidationError:
        value = _decode_wide_numbers(data)
    except msgspec.DecodeError as exc:
        raise ValueError(f"not JSON: {exc}") from exc
    except RecursionError as exc:
        raise ValueError("nested too deeply") from exc
    # Without that many brackets it cannot be so deep; only else is a walk worth its cost.
    if (
        len(data) > 2 * MAX_DEPTH
        and data.count(b"[") + data.count(b"{") > MAX_DEPTH
        and _is_too_deep(value)
    ):
        raise ValueError("nested too deeply")
    return value


def decode_all(texts: Sequence[bytes]) -> list[Any] | None:
    """Decode JSON texts as `decode` does each, at half the cost.

    None where that cannot be told of them all: one is long, wrong, or a number that is too wide.
    """
    if not texts or max(map(len, texts)) > 2 * MAX_DEPTH:
        return None
    decode = _decoder.decode
    try:
        return [decode(text) for text in texts]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def decode_members(data: bytes) -> dict[str, msgspec.Raw]:
    """Decode the keys of a JSON object that `encode` has written, and leave its values as they are.

    The values are views of `data`, which they keep alive; `encode` writes them as they stand.
    """
    return _members_decoder.decode(data)


def _decode_wide_numbers(data: bytes) -> Any:
    try:
        value = json.loads(
            data, parse_int=_parse_int, parse_float=_parse_float, parse_constant=_refuse
        )
        encode(value)  # the standard library lets lone surrogates pass
    except RecursionError as exc:
        raise ValueError("nested too deeply") from exc
    return value


def _is_too_deep(value: Any) -> bool:
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for item in level
            for inner in (item.values() if isinstance(item, dict) else item)
            if isinstance(inner, dict | list)
        ]
    return bool(level)


def _parse_int(digits: str) -> int | msgspec.Raw:
    if len(digits) < _MAX_INT_DIGITS:
        return int(digits)
    return msgspec.Raw(digits.encode())


def _parse_float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError("not JSON that can be passed on: a number beyond a double")
    return number


def _refuse(name: str) -> None:
    raise ValueError(f"not JSON: {name}")


def _may_hold_non_finite(value: Any) -> bool:
    """Say at the speed of an encoder whether a walk could find NaN or infinity."""
    try:
        return _NON_FINITE.search(_msgpack_encoder.encode(value)) is not None
    except OverflowError:  # an integer of more than 64 bits
        return True


def _holds_non_finite(value: Any) -> bool:
    """Say whether a value that could be encoded holds NaN or infinity."""
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, float):
            if not math.isfinite(item):
                return True
        elif isinstance(item, dict):
            stack.extend(item.values())
        elif isinstance(item, list | tuple | set | frozenset):
            stack.extend(item)
        elif not isinstance(item, str | int | bytes | msgspec.Raw | None):
            builtin = msgspec.to_builtins(item)
            if builtin is not item and not isinstance(builtin, str | int | bytes | None):
                stack.append(builtin)
    return False
