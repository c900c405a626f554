"""The Quart application: `app_quart:app` for an ASGI server, or `python app_quart.py`.

Configured by `$FANSTREAM_CONFIG`, else `./feeds.toml`, else the demo feeds.
"""

from functools import partial

from streaming.application import load_settings, run_application, spare_collector
from streaming.cli import develop
from streaming.quart import create_gateway

if __name__ == "__main__":
    run_application(partial(develop, app="quart"))
else:
    app = create_gateway(load_settings())
    spare_collector()
