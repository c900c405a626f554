"""The charset that a `Content-Type` declares (RFC 9110 section 8.3.2), as a codec of Python's.

Only those that Python knows as charsets: its other codecs, between bytes and bytes, or of quadratic
cost as `punycode`, are not for an upstream to choose.
"""

import codecs
import re
from collections.abc import Mapping
from encodings.aliases import aliases

from streaming.core.errors_upstream import Undecodable

# Looked up here first: Python would look for a file for each name that an upstream makes up, and
# remember it for ever. Without UTF-7, whose text may hold lone surrogates, which no JSON does.
_CHARSETS = frozenset(
    {name for pair in aliases.items() for name in pair if "utf_7" not in pair}
    | {"cp874", "koi8_t", "koi8_u", "utf_8_sig"}  # which have no alias
)


def declared_charset(content_type: str | None) -> str:
    """Return the codec of the declared charset, by its name in Python; UTF-8 where none is.

    Raises:
        Undecodable: A charset that nobody knows.
    """
    declared = _parameters(content_type or "").get("charset", "").strip('" ') or "utf-8"
    name = re.sub("[^a-z0-9]+", "_", declared.lower()).strip("_")
    if name in _CHARSETS:
        try:
            # This refuses codecs between bytes and bytes (`zlib`, `hex`), as `lookup` does not, nor
            # does decoding nothing.
            "".encode(name)
            return codecs.lookup(name).name
        except LookupError:
            pass
    raise Undecodable("text in its declared charset")


def _parameters(content_type: str) -> Mapping[str, str]:
    pairs = (part.partition("=") for part in content_type.split(";")[1:])
    return {name.strip().lower(): value for name, _, value in pairs}
