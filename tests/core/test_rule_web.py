"""The forms that HTTP and IP give to values."""

import pytest

from streaming.core.errors import ConfigError
from streaming.core.rule_web import Host, HttpUrl, Network, StatusClass, WebOrigin

URL = HttpUrl()
PROXY = HttpUrl(with_userinfo=True)


@pytest.mark.parametrize(
    ("rule", "value", "kept"),
    [
        (URL, "", ""),
        (URL, "https://keys.example/jwks.json", "https://keys.example/jwks.json"),
        (PROXY, "http://me:secret@proxy:3128", "http://me:secret@proxy:3128"),
        (Host(), "CDN.example", "cdn.example"),
        (Host(), "127.0.0.1:8080", "127.0.0.1:8080"),
        (Host(), "[::1]", "[::1]"),
        (WebOrigin(), "https://App.Example:443", "https://app.example"),
        (WebOrigin(), "http://localhost:5173", "http://localhost:5173"),
        (WebOrigin(), "*", "*"),
        (Network(), "10.0.0.0/8", "10.0.0.0/8"),
        (Network(), "::1", "::1"),
        (StatusClass(), 204, 204),
        (StatusClass(), "204", "204"),
        (StatusClass(), "3xx", "3xx"),
    ],
)
def test_a_value_of_the_form_is_kept(rule, value, kept):
    """What can be compared as text is brought to one form, all else stays as written."""
    assert rule.check(value) == kept


@pytest.mark.parametrize(
    ("rule", "value"),
    [
        (URL, "keys.example"),
        (URL, "ftp://keys.example"),
        (URL, "https://me@keys.example"),
        (URL, "https://keys.example\n"),
        (URL, 1),
        (PROXY, "socks5://proxy"),
        (Host(), "https://cdn.example"),
        (Host(), "cdn.example:http"),
        (Host(), ""),
        (Host(), 1),
        (WebOrigin(), "app.example"),
        (WebOrigin(), "https://app.example/"),
        (WebOrigin(), "https://app.example?"),
        (WebOrigin(), "null"),
        (WebOrigin(), 1),
        (Network(), "10.0.0.1/8"),
        (Network(), "proxy.example"),
        (Network(), 1),
        (StatusClass(), 199),
        (StatusClass(), True),
        (StatusClass(), "2xy"),
        (StatusClass(), "1xx"),
    ],
)
def test_a_value_without_the_form_is_refused(rule, value):
    """A mistake is found when it is read, not when it is used."""
    with pytest.raises(ConfigError):
        rule.check(value)


def test_a_refused_url_does_not_show_its_password():
    """A URL may hold a secret, so that the sentence about it holds nothing of it."""
    with pytest.raises(ConfigError) as raised:
        URL.check("https://me:hunter2@keys.example")
    assert "hunter2" not in str(raised.value)
