"""Log lines of a process that fanstream starts itself; an application of your own sets up its own.

Everything is logged under the name `fanstream`: INFO one line for each run that ended and for each
upstream that was cancelled, WARNING one for each upstream that failed, ERROR what is wrong on this
side. No line holds a header, a value of a query or a token.
"""

import logging
import os

from streaming.core.errors import ConfigError

LEVEL_VARIABLE = "FANSTREAM_LOG_LEVEL"
"""The environment variable that names the least level that is shown; INFO where it is unset."""


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
    # Werkzeug's server logs each request with its query, and a malformed one as an error.
    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
