"""The usual recipe for Flask: a generator, and a queue for each subscriber.

The same file runs on gunicorn's threads and on gevent, which replaces queues, threads and sockets.
"""

import os
import queue
import threading
import time
from collections.abc import Iterator

import requests
from flask import Flask, Response, request

UPSTREAM = os.environ["UPSTREAM"]
BEAT = 15

app = Flask(__name__)
subscribers: set[queue.SimpleQueue[str]] = set()
changing = threading.Lock()


def lines(query: str) -> Iterator[str]:
    url = f"{UPSTREAM}/ndjson?{query}"
    with requests.get(url, stream=True, timeout=600) as response:
        for line in response.iter_lines(chunk_size=65536):
            yield line.decode()


@app.get("/flat")
def flat() -> Response:
    def events(query: str) -> Iterator[str]:
        for n, line in enumerate(lines(query), start=1):
            yield f"id: {n}\nevent: chunk\ndata: {line}\n\n"

    return Response(events(request.query_string.decode()), mimetype="text/event-stream")


@app.get("/watch")
def watch() -> Response:
    def events() -> Iterator[str]:
        mine: queue.SimpleQueue[str] = queue.SimpleQueue()
        with changing:
            subscribers.add(mine)
        try:
            yield ": hello\n\n"
            while True:
                try:
                    yield mine.get(timeout=BEAT)
                except queue.Empty:
                    yield ": beat\n\n"
        finally:
            with changing:
                subscribers.remove(mine)

    return Response(events(), mimetype="text/event-stream")


def broadcast(query: str) -> None:
    for line in lines(query):
        event = f"event: chunk\ndata: {line}\n\n"
        with changing:
            for each in subscribers:
                each.put(event)


@app.get("/start")
def start() -> tuple[str, int]:
    query = request.query_string.decode()
    threading.Thread(target=broadcast, args=(query,), daemon=True).start()
    return "started\n", 202


@app.get("/first")
def first() -> Response:
    def events() -> Iterator[str]:
        yield "event: hello\ndata: {}\n\n"
        while True:
            time.sleep(BEAT)
            yield ": beat\n\n"

    return Response(events(), mimetype="text/event-stream")


@app.get("/ready")
def ready() -> str:
    return "ready\n"
