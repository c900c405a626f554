"""Fan-out by hand: Flask on threads, a pool of more threads for the calls, one requests session."""

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed

import requests
from flask import Flask, Response
from requests.adapters import HTTPAdapter

UPSTREAM = os.environ["UPSTREAM"]
CALLS = {
    "delays": [(f"u{ms}", f"{UPSTREAM}/delay/{ms}") for ms in range(10, 101, 10)],
    "none": [(f"u{n}", f"{UPSTREAM}/delay/0") for n in range(1, 11)],
}
IN_FLIGHT = 512

app = Flask(__name__)
pool = ThreadPoolExecutor(IN_FLIGHT)
session = requests.Session()
session.mount("http://", HTTPAdapter(pool_maxsize=IN_FLIGHT))


def call(name: str, url: str) -> str:
    response = session.get(url, timeout=30)
    result = {"upstream": name, "status": response.status_code, "body": response.json()}
    return f"event: result\ndata: {json.dumps(result)}\n\n"


def results(kind: str) -> Iterator[str]:
    futures = [pool.submit(call, name, url) for name, url in CALLS[kind]]
    for future in as_completed(futures):
        yield future.result()


@app.get("/fanout/<kind>")
def fanout(kind: str) -> Response:
    return Response(results(kind), mimetype="text/event-stream")


@app.get("/ready")
def ready() -> str:
    return "ready\n"
