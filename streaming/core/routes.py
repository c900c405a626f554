"""The HTTP interface as a table: what is asked where, and what it is called (CONTRACT).

Both adapters register these, and the OpenAPI document describes them.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Route:
    """One path and its operations.

    Args:
        name: A word for it.
        rule: The path; `<name>` stands for one segment.
        operations: The name of the operation by method. HEAD goes with GET; OPTIONS is answered
            for each.
    """

    name: str
    rule: str
    operations: Mapping[str, str]

    @property
    def methods(self) -> tuple[str, ...]:
        """All methods that the path takes."""
        head = ("HEAD",) if "GET" in self.operations else ()
        return (*self.operations, *head, "OPTIONS")

    def reads_body(self, method: str) -> bool:
        """Say whether the operation of a method reads the request's body."""
        return method == "POST"

    def operation(self, method: str) -> str:
        """Return the name of the operation that answers a method."""
        return self.operations.get("GET" if method == "HEAD" else method, "preflight")


ROUTES = (
    Route("feeds", "/feeds", {"GET": "list_feeds"}),
    Route("feed", "/feeds/<feed>", {"GET": "read_feed", "POST": "create_run"}),
    Route("run", "/runs/<run>", {"GET": "read_run", "DELETE": "delete_run"}),
    Route("healthz", "/healthz", {"GET": "read_health"}),
    Route("readyz", "/readyz", {"GET": "read_readiness"}),
    Route("openapi", "/openapi.json", {"GET": "read_openapi"}),
)

OPEN_OPERATIONS = frozenset({"read_health", "read_readiness", "preflight"})
"""What everyone may ask for, whoever may do the rest: probes, and what browsers send by themselves.
"""
