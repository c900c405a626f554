"""Where in the configuration a mistake stands."""

import pytest

from streaming.core.errors import ConfigError
from streaming.core.key_path import check_known, under


@pytest.mark.parametrize(
    ("outer", "inner", "path"),
    [
        (("server",), "", "server"),
        (("feeds", "city"), "timeout", "feeds.city.timeout"),
        (("json", "messages", 0), "content", "json.messages[0].content"),
        (("feeds", "new.york"), "title", 'feeds."new.york".title'),
        (("feeds", "a\nb"), "", 'feeds."a\\nb"'),
        ((), "title", "title"),
    ],
)
def test_under_puts_keys_before_a_path(outer, inner, path):
    """Keys are joined as TOML writes them."""
    with pytest.raises(ConfigError) as raised, under(*outer):
        raise ConfigError(inner, "is wrong")
    assert (raised.value.path, raised.value.reason) == (path, "is wrong")


def test_under_keeps_the_file():
    """An error that knows its file still knows it further out."""
    with pytest.raises(ConfigError) as raised, under("log"):
        raise ConfigError("url", "is wrong", file="feeds.toml")
    assert str(raised.value) == "feeds.toml: log.url: is wrong"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("timout", "unknown key; did you mean 'timeout'?"),
        ("zebra", "unknown key"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest_known_one(name, reason):
    """The known name that may be meant is offered only where one is near."""
    with pytest.raises(ConfigError) as raised:
        check_known(name, ["title", "timeout"], what="key")
    assert raised.value.reason == reason


def test_a_known_name_passes():
    """A name among the known ones is no mistake."""
    check_known("title", ["title"], what="key")
