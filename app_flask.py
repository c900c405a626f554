"""The Flask application: `app_flask:app` for a WSGI server, or `python app_flask.py`.

Configured by `$FANSTREAM_CONFIG`, else `./feeds.toml`, else the demo feeds.
"""

import click

from streaming.application import load_settings, run_application
from streaming.config import Loaded
from streaming.flask import create_app


def run(loaded: Loaded, *, host: str, port: int, debug: bool, reload: bool) -> None:
    """Serve for development, on Werkzeug's server."""
    click.echo(f"{loaded.source} on werkzeug: http://{host}:{port}/  (Ctrl-C ends it)")
    app = create_app(load_settings())
    app.run(host=host, port=port, debug=debug, use_reloader=reload, threaded=True)


if __name__ == "__main__":
    run_application(run)
else:
    app = create_app(load_settings())
