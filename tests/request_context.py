"""A context as a request has one, and what tells whether something still holds it."""

import contextvars
import weakref

_REQUEST: contextvars.ContextVar["_Request"] = contextvars.ContextVar("request")


class _Request:
    pass


def a_request() -> tuple[weakref.ref[_Request], contextvars.Context]:
    """Make a context with a request in it; the reference is dead once nothing holds the context."""
    request, context = _Request(), contextvars.copy_context()
    context.run(_REQUEST.set, request)
    return weakref.ref(request), context
