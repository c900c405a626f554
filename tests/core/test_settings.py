"""Settings and their bounds."""

import math

import pytest

from streaming.core.errors import ConfigError
from streaming.core.feed import Feed, Upstream
from streaming.core.settings import (
    AuthSettings,
    LogSettings,
    ServerSettings,
    Settings,
)


@pytest.mark.parametrize(
    ("cls", "fields", "path"),
    [
        (ServerSettings, {"max_streams": 0}, "max_streams"),
        (ServerSettings, {"max_streams": 1.5}, "max_streams"),
        (ServerSettings, {"max_streams_per_address": -1}, "max_streams_per_address"),
        (ServerSettings, {"trusted_proxies": ["lan"]}, "trusted_proxies[0]"),
        (ServerSettings, {"max_runs": 0}, "max_runs"),
        (ServerSettings, {"ping_interval": 0}, "ping_interval"),
        (ServerSettings, {"retry_ms": -1}, "retry_ms"),
        (ServerSettings, {"retry_ms": 86_400_001}, "retry_ms"),
        (ServerSettings, {"max_stream_age": math.inf}, "max_stream_age"),
        (ServerSettings, {"max_lag_events": 0}, "max_lag_events"),
        (ServerSettings, {"max_lag_bytes": 2**60}, "max_lag_bytes"),
        (ServerSettings, {"send_timeout": "30"}, "send_timeout"),
        (ServerSettings, {"drain_timeout": -1}, "drain_timeout"),
        (ServerSettings, {"max_connections": True}, "max_connections"),
        (ServerSettings, {"max_body_bytes": 0}, "max_body_bytes"),
        (ServerSettings, {"cors_origins": "https://a"}, "cors_origins"),
        (ServerSettings, {"cors_origins": ["https://a/"]}, "cors_origins[0]"),
        (LogSettings, {"url": "mysql://a"}, "url"),
        (LogSettings, {"url": "redis://"}, "url"),
        (LogSettings, {"max_bytes": 0}, "max_bytes"),
        (LogSettings, {"max_events": 0}, "max_events"),
        (LogSettings, {"max_log_bytes": None}, "max_log_bytes"),
        (AuthSettings, {}, ""),
        (AuthSettings, {"jwt_secret": "a", "jwks_url": "https://a"}, ""),
        (AuthSettings, {"jwks_url": "a"}, "jwks_url"),
        (AuthSettings, {"jwt_secret": 1}, "jwt_secret"),
        (AuthSettings, {"jwt_secret": "a", "algorithms": []}, "algorithms"),
        (AuthSettings, {"jwt_secret": "a", "algorithms": ["none"]}, "algorithms[0]"),
        (AuthSettings, {"jwt_secret": "a", "algorithms": ["RS256"]}, "algorithms"),
        (AuthSettings, {"jwks_url": "https://a"}, "algorithms"),
        (AuthSettings, {"jwt_secret": "a", "cookie": "a b"}, "cookie"),
    ],
)
def test_a_value_outside_its_bounds_names_its_field(cls, fields, path):
    """From code the rules are those of the file."""
    with pytest.raises(ConfigError) as raised:
        cls(**fields)
    assert raised.value.path == path


def test_public_keys_go_with_their_algorithms():
    """Where keys are fetched, the algorithms have to be said."""
    auth = AuthSettings(jwks_url="https://a/keys", algorithms=["RS256", "EdDSA"])
    assert auth.algorithms == ("RS256", "EdDSA")


def test_the_repr_shows_no_secret():
    """Neither the key of tokens nor the log's password stands in a log."""
    settings = Settings(
        log=LogSettings(url="redis://:hunter2@redis"), auth=AuthSettings(jwt_secret="hunter2")
    )
    assert "hunter2" not in repr(settings)


def test_a_feed_stands_under_its_own_name():
    """The table of feeds cannot say another name than the feed."""
    feed = Feed("city", upstreams={"a": Upstream(url="https://a")})
    with pytest.raises(ConfigError, match=r"^feeds\.town: "):
        Settings(feeds={"town": feed})


def test_nothing_configured_is_the_defaults():
    """Settings can be made of nothing: open, in memory, without feeds."""
    assert Settings() == Settings(server=ServerSettings(), log=LogSettings(), auth=None, feeds={})
