"""The Quart application: `app_quart:app` for an ASGI server, or `python app_quart.py`.

Configured by `$FANSTREAM_CONFIG`, else `./feeds.toml`, else the demo feeds.
"""

import uvicorn

from streaming.application import load_settings, run_application
from streaming.quart import create_app


def run(*, host: str, port: int, debug: bool, reload: bool) -> None:
    """Serve for development."""
    level = "debug" if debug else "warning"
    uvicorn.run(
        "app_quart:app",
        host=host,
        port=port,
        reload=reload,
        log_level=level,
        access_log=False,
        timeout_graceful_shutdown=2,
    )


if __name__ == "__main__":
    run_application(run)
else:
    app = create_app(load_settings())
