"""The parameters of a feed as a request carries them: in its query, or as a JSON body (CONTRACT).

What each of them may be is the feed's to say; see `streaming.core.feed`.
"""

from typing import Any

from streaming.core import codec
from streaming.core.errors_request import (
    BodyTooLarge,
    InvalidParameter,
    UnparsableBody,
    UnsupportedMediaType,
)
from streaming.core.feed import RESERVED_PARAMETERS
from streaming.core.message import Request

_MAX_DIGITS = 18


def query_arguments(request: Request) -> dict[str, str]:
    """Return the parameters of a query, without the reserved ones.

    Raises:
        InvalidParameter: One is given twice.
    """
    arguments: dict[str, str] = {}
    for name, value in request.query:
        if name in RESERVED_PARAMETERS:
            continue
        if name in arguments:
            raise InvalidParameter(name, "is given twice")
        arguments[name] = value
    return arguments


def check_no_arguments(request: Request) -> None:
    """Refuse a query that has parameters where there are none to give.

    Raises:
        InvalidParameter: It has one.
    """
    for name in query_arguments(request):
        raise InvalidParameter(name, "is not known in this query")


def check_json_body(request: Request, *, max_body_bytes: int) -> None:
    """Refuse a request whose body need not be read, by what its headers say of it.

    Raises:
        UnsupportedMediaType: It is not said to be JSON.
        BodyTooLarge: It is said to have more bytes than the bound.
    """
    content_type = (request.header("content-type") or "").partition(";")[0].strip().lower()
    if content_type != "application/json":
        raise UnsupportedMediaType
    length = request.header("content-length") or ""
    # A longer number than any bound has is not converted: Python refuses those of thousands.
    if length.isdecimal() and (len(length) > _MAX_DIGITS or int(length) > max_body_bytes):
        raise BodyTooLarge(max_body_bytes)


def json_arguments(body: bytes) -> dict[str, Any]:
    """Return the parameters of a body.

    Raises:
        UnparsableBody: It is not a JSON object.
    """
    try:
        document = codec.decode(body)
    except ValueError as exc:
        raise UnparsableBody("it is not JSON") from exc
    if not isinstance(document, dict):
        raise UnparsableBody("it is not a JSON object")
    return document
