"""Log lines of a process that fanstream starts itself; an application of your own sets up its own.

Everything is logged under the name `fanstream`: INFO one line for each run that ended and for each
upstream that was cancelled, WARNING one for each upstream that failed, ERROR what is wrong on this
side. No line holds a header, a value of a query or a token.
"""

import logging
import os
import re
from collections.abc import Mapping

from streaming.core.bearer import TOKEN_PARAMETER
from streaming.core.errors import ConfigError

LEVEL_VARIABLE = "FANSTREAM_LOG_LEVEL"
"""The environment variable that names the least level that is shown; INFO where it is unset."""


ACCESS_LOGGERS = ("uvicorn.access", "hypercorn.access", "granian.access", "gunicorn.access")
"""Where servers log each request with its query, once they are told to."""

# Each character of the name as it is or percent-encoded, so that none is looked at more often than
# the name is long: a hostile query costs no more time than another.
_NAME = "".join(f"(?:{re.escape(c)}|(?i:%{ord(c):02x}))" for c in TOKEN_PARAMETER)
_TOKEN = re.compile(rf"({_NAME}=)[\"']*[^&\s\"']+")


class TokenRedaction(logging.Filter):
    """Writes no token of a query into a log: a filter for the access log of any server."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Put dots in the place of each `access_token`, however it is written; keep the record."""
        if isinstance(record.args, Mapping):
            record.msg, record.args = record.getMessage(), ()
        elif record.args:
            # In their shape: a formatter may ask for them one by one.
            record.args = tuple(map(_redacted, record.args))
        record.msg = _redacted(record.msg)
        return True


def _redacted(value: object) -> object:
    return _TOKEN.sub(r"\1…", value) if isinstance(value, str) else value


def log_level() -> str:
    """Return the least level that is shown.

    Raises:
        ConfigError: The environment names a level that there is not.
    """
    level = os.environ.get(LEVEL_VARIABLE, "INFO").upper()
    if level not in logging.getLevelNamesMapping():
        raise ConfigError("", f"${LEVEL_VARIABLE} is not the name of a level, such as WARNING")
    return level


def set_up_logging() -> None:
    """Show fanstream's lines on the standard error.

    Raises:
        ConfigError: The environment names a level that there is not.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger = logging.getLogger("fanstream")
    logger.addHandler(handler)
    logger.setLevel(log_level())
    logger.propagate = False
    for name in ACCESS_LOGGERS:
        logging.getLogger(name).addFilter(TokenRedaction())
    # Werkzeug's server logs each request with its query, and a malformed one as an error.
    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
