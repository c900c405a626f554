"""gunicorn's configuration, which it reads by itself when it is started here.

gunicorn app_flask:app
gunicorn -k asgi app_quart:app
"""

from streaming.gunicorn_conf import *  # noqa: F403 - the settings, each by its name
