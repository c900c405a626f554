"""The Flask application: `app_flask:app` for a WSGI server, or `python app_flask.py`.

Configured by `$FANSTREAM_CONFIG`, else `./feeds.toml`, else the demo feeds.
"""

from functools import partial

from streaming.application import load_settings, run_application, spare_collector
from streaming.cli import develop
from streaming.flask import create_app

if __name__ == "__main__":
    run_application(partial(develop, app="flask"))
else:
    app = create_app(load_settings())
    spare_collector()
