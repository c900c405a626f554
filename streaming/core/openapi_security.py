"""Tokens in the OpenAPI document: where a request may carry one (CONTRACT `[auth]`)."""

from typing import Any

from streaming.core.bearer import TOKEN_PARAMETER
from streaming.core.errors_request import (
    Forbidden,
    InvalidToken,
    KeysUnavailable,
    MissingToken,
    RequestError,
)
from streaming.core.settings import AuthSettings

Described = dict[str, Any]
"""A piece of the document."""

TOKEN_ERRORS: tuple[type[RequestError], ...] = (MissingToken, InvalidToken, KeysUnavailable)
"""What is answered where a token is asked for, whatever else is."""


def security_schemes(auth: AuthSettings) -> dict[str, Described]:
    """Return the ways in which a token is taken, by the names of their components."""
    header = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
    query = {"type": "apiKey", "in": "query", "name": TOKEN_PARAMETER}
    cookie = {"type": "apiKey", "in": "cookie", "name": auth.cookie}
    return {"header": header, "query": query, **({"cookie": cookie} if auth.cookie else {})}


def impossible_errors(auth: AuthSettings | None) -> frozenset[type[RequestError]]:
    """Return the errors of tokens that are never answered with these settings."""
    if auth is None:
        return frozenset({*TOKEN_ERRORS, Forbidden})
    return frozenset() if auth.jwks_url else frozenset({KeysUnavailable})
