"""Flask-SSE: its blueprint as the subscription, and Redis behind it.

It sends nothing before the first event, not even the response's head.
"""

import os
import threading
from collections.abc import Iterator

import requests
from flask import Flask, request
from flask_sse import sse

UPSTREAM = os.environ["UPSTREAM"]

app = Flask(__name__)
app.config["REDIS_URL"] = os.environ["REDIS_URL"]
app.register_blueprint(sse, url_prefix="/watch")


def lines(query: str) -> Iterator[str]:
    url = f"{UPSTREAM}/ndjson?{query}"
    with requests.get(url, stream=True, timeout=600) as response:
        for line in response.iter_lines(chunk_size=65536):
            yield line.decode()


def broadcast(query: str) -> None:
    with app.app_context():
        for line in lines(query):
            sse.publish(line, type="chunk")


@app.get("/start")
def start() -> tuple[str, int]:
    query = request.query_string.decode()
    threading.Thread(target=broadcast, args=(query,), daemon=True).start()
    return "started\n", 202


@app.get("/ready")
def ready() -> str:
    return "ready\n"
