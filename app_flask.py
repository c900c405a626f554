"""The Flask application: `app_flask:app` for a WSGI server, or `python app_flask.py`.

Configured by `$FANSTREAM_CONFIG`, else `./feeds.toml`, else the demo feeds.
"""

from streaming.application import load_settings, run_application
from streaming.flask import create_app


def run(*, host: str, port: int, debug: bool, reload: bool) -> None:
    """Serve for development."""
    app = create_app(load_settings())
    app.run(host=host, port=port, debug=debug, use_reloader=reload, threaded=True)


if __name__ == "__main__":
    run_application(run)
else:
    app = create_app(load_settings())
