"""What schemathesis is told of fanstream: how NDJSON is checked, and which headers there are.

It loads this file by itself, in a process of its own; see `test_openapi_conformance`.
"""

import json
from typing import Any

import jsonschema_rs
import schemathesis

NDJSON = "application/x-ndjson"

# The servers' own are in it. Whatever else came would have been put there by a request.
KNOWN_HEADERS = frozenset(
    "allow cache-control connection content-length content-type date location retry-after server"
    " transfer-encoding vary www-authenticate x-accel-buffering".split()
)


@schemathesis.deserializer(NDJSON)
def read_ndjson(_ctx: Any, response: Any) -> str:
    """OpenAPI 3.1 has no more to say of it than that it is text; see `ndjson_lines`."""
    text: str = response.content.decode()
    return text


@schemathesis.check
def ndjson_lines(_ctx: Any, response: Any, case: Any) -> None:
    """Each line of NDJSON is as the document's `x-line` says."""
    if not response.headers.get("content-type", [""])[0].startswith(NDJSON):
        return
    components = case.operation.schema.raw_schema["components"]
    schema = {**components["schemas"]["Lines"]["x-line"], "components": components}
    validator = jsonschema_rs.Draft202012Validator(schema)
    *lines, rest = response.content.split(b"\n")
    assert not rest, "the last line has no end"
    for line in lines:
        validator.validate(json.loads(line))


@schemathesis.check
def known_headers(_ctx: Any, response: Any, _case: Any) -> None:
    """No request can add a header to its answer."""
    assert not response.headers.keys() - KNOWN_HEADERS
