"""What upstreams say in tests, as they write it."""

import json

SSE = "text/event-stream"


def token(text: str) -> bytes:
    """An event of a chat completion."""
    return b"data: %b\n\n" % json.dumps({"choices": [{"delta": {"content": text}}]}).encode()
