"""The page's files as they are sent: as they lie there, or gzipped for those who take that.

RFC 9110: `Accept-Encoding` chooses the form (section 12.5.3), and each form has a tag of its own,
made of its bytes (section 8.8.3.3), by which a framework can answer conditional requests to both.
"""

import gzip
import mimetypes
import os.path
from functools import lru_cache
from pathlib import Path

from werkzeug.exceptions import NotFound
from werkzeug.http import generate_etag, http_date, parse_accept_header, quote_etag
from werkzeug.sansio.request import Request as WerkzeugRequest
from werkzeug.security import safe_join
from werkzeug.utils import get_content_type

from streaming.core.message import Headers

# Pictures that an upstream has sent are shown from their own bytes.
POLICY = "default-src 'self'; img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'"

_MAX_KEPT_FORMS = 64
"""Forms of files that are kept in memory, each with its headers; the page has some forty."""


def static_folder() -> Path:
    """Return where the page's files are: in the package, or in a checkout beside it."""
    package = Path(__file__).parent
    installed = package / "static"
    return installed if installed.is_dir() else package.parent / "static"


def read_file(name: str, request: WerkzeugRequest) -> tuple[Headers, bytes]:
    """Return the headers and the body of one of the page's files, in the form that is asked for.

    It asks the file system each time, and reads a file once for each version and form.

    Args:
        name: Its path below the folder, as it was asked for.
        request: Of which only `Accept-Encoding` matters.

    Raises:
        NotFound: There is no such file in the folder.
    """
    path = safe_join(str(static_folder()), name)
    # A name can be too long for a file system, which raises in `Path.is_file`.
    if path is None or not os.path.isfile(path):  # noqa: PTH113
        raise NotFound
    version = Path(path).stat()
    # ASGI hands on several lines of a header as they came.
    accepted = parse_accept_header(", ".join(request.headers.getlist("Accept-Encoding")))
    return _read_form(
        path,
        mtime_ns=version.st_mtime_ns,
        size=version.st_size,
        gzipped=accepted.best_match(("gzip", "identity")) == "gzip",
    )


@lru_cache(maxsize=_MAX_KEPT_FORMS)
def _read_form(path: str, *, mtime_ns: int, size: int, gzipped: bool) -> tuple[Headers, bytes]:
    """Read a version of a file, named by its time and size in bytes."""
    body = Path(path).read_bytes()
    media_type = mimetypes.guess_type(path)[0] or "application/octet-stream"
    headers: Headers = (
        ("Content-Type", get_content_type(media_type, "utf-8")),
        ("Last-Modified", http_date(mtime_ns // 10**9)),
        # A browser asks for each file again: modules must be of one version.
        ("Cache-Control", "no-cache"),
        ("Vary", "Accept-Encoding"),
    )
    # What is small, or compressed by itself, can become longer.
    if gzipped and len(shorter := gzip.compress(body, mtime=0)) < size:
        body = shorter
        headers += (("Content-Encoding", "gzip"),)
    return (*headers, ("ETag", quote_etag(generate_etag(body)))), body
