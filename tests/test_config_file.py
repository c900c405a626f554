"""Finding and reading the configuration file."""

import pytest

from streaming.config import DEMO_SOURCE, MAX_FILE_BYTES, load
from streaming.core.errors import ConfigError

FEED = "[feeds.{name}.upstreams.a]\nurl = 'https://a.example'\n"


@pytest.fixture
def folder(tmp_path):
    """Give a folder with two configurations, of which neither has the default's name."""
    for name in ("one", "two"):
        (tmp_path / f"{name}.toml").write_text(FEED.format(name=name))
    return tmp_path


def refused(path, data, **env):
    path.joinpath("bad.toml").write_bytes(data)
    with pytest.raises(ConfigError) as raised:
        load("bad.toml", env=env, cwd=path)
    return raised.value


def test_the_argument_comes_first(folder):
    """A path that is given counts more than the environment and the default."""
    (folder / "feeds.toml").write_text("")
    loaded = load("one.toml", env={"FANSTREAM_CONFIG": "two.toml"}, cwd=folder)
    assert (list(loaded.settings.feeds), loaded.source) == (["one"], "one.toml")


def test_the_environment_comes_second(folder):
    """Without an argument the variable says which file."""
    (folder / "feeds.toml").write_text("")
    loaded = load(None, env={"FANSTREAM_CONFIG": str(folder / "two.toml")}, cwd=folder)
    assert list(loaded.settings.feeds) == ["two"]


def test_the_default_comes_third(folder):
    """Without a name, the file beside is taken; an empty variable names none."""
    (folder / "feeds.toml").write_text(FEED.format(name="here"))
    loaded = load(None, env={"FANSTREAM_CONFIG": ""}, cwd=folder)
    assert (list(loaded.settings.feeds), loaded.source, loaded.is_demo) == (
        ["here"],
        "feeds.toml",
        False,
    )


@pytest.mark.parametrize(
    ("env", "origin"),
    [
        ({}, "http://127.0.0.1:8001"),
        ({"FANSTREAM_CONFIG": ""}, "http://127.0.0.1:8001"),
        ({"FANSTREAM_DEMO_UPSTREAMS": "http://127.0.0.1:9"}, "http://127.0.0.1:9"),
    ],
)
def test_without_any_file_the_demo_is_served(tmp_path, env, origin):
    """The demo's feeds say that they are, and where their upstreams are can be said."""
    loaded = load(None, env=env, cwd=tmp_path)
    assert (loaded.is_demo, loaded.source) == (True, DEMO_SOURCE)
    upstreams = [
        each for feed in loaded.settings.feeds.values() for each in feed.upstreams.values()
    ]
    assert {str(upstream.url_template.origin) for upstream in upstreams} == {origin}


def test_only_the_demo_knows_where_its_upstreams_are(tmp_path):
    """In a file of one's own the variable is as unset as any other."""
    error = refused(tmp_path, b"[log]\nurl = '${FANSTREAM_DEMO_UPSTREAMS}'")
    assert (error.file, error.path) == ("bad.toml", "log.url")


@pytest.mark.parametrize(
    ("path", "env"), [("no.toml", {}), (None, {"FANSTREAM_CONFIG": "no.toml"})]
)
def test_a_named_file_that_is_missing_is_an_error(tmp_path, path, env):
    """The demo does not stand in for a file that was asked for."""
    with pytest.raises(ConfigError) as raised:
        load(path, env=env, cwd=tmp_path)
    assert str(raised.value) == "no.toml: cannot be read: No such file or directory"


def test_a_folder_is_not_a_file(tmp_path):
    """What the system says of a path is passed on."""
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load(str(tmp_path), env={}, cwd=tmp_path)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"a = 1\nb = x\n", "is not TOML: Invalid value (at line 2, column 5)"),
        (b"a = 1\n# \xff\n", "is not UTF-8 (at line 2)"),
        (b"a = " + b"9" * 5000, "is not TOML: "),
        (b"a = " + b"[" * 5000, "is nested too deeply"),
        (b"#" * (MAX_FILE_BYTES + 1), "is longer than 1048576 bytes"),
    ],
)
def test_what_is_no_toml_is_told_with_its_line(tmp_path, data, reason):
    """A file that cannot be parsed at all has no path of a key."""
    error = refused(tmp_path, data)
    assert (error.file, error.path) == ("bad.toml", "")
    assert error.reason.startswith(reason)


def test_a_mistake_in_the_document_names_the_file_too(tmp_path):
    """File, path of the key and reason make the sentence."""
    error = refused(tmp_path, b"[server]\nmax_runs = 0\n")
    assert str(error) == "bad.toml: server.max_runs: expected an integer above 0, got 0"


def test_a_byte_order_mark_is_passed_over(tmp_path):
    """Some editors begin a file with one."""
    (tmp_path / "feeds.toml").write_bytes(b"\xef\xbb\xbf[server]\r\nmax_runs = 5\r\n")
    assert load(None, env={}, cwd=tmp_path).settings.server.max_runs == 5


def test_a_missing_file_of_authorities_is_found_at_the_start(folder):
    """Not the first call of an upstream tells it, but the start, without the file's name."""
    error = refused(folder, FEED.format(name="c").encode() + b"ca_file = '${CA}'", CA="no.pem")
    assert (error.file, error.path) == ("bad.toml", "feeds.c.upstreams.a.ca_file")
    assert "no.pem" not in str(error)


def test_a_file_of_authorities_is_looked_for_beside_the_process(folder):
    """Relative paths begin at the working directory, as they do for the connection."""
    (folder / "ca.pem").touch()
    (folder / "feeds.toml").write_text(FEED.format(name="c") + "ca_file = 'ca.pem'")
    assert not load(None, env={}, cwd=folder).is_demo


def test_a_log_that_is_neither_in_memory_nor_in_redis_is_refused(tmp_path):
    """Without what the URL says, which may hold a password."""
    error = refused(tmp_path, b"[log]\nurl = 'http://:hunter2@localhost'\n")
    assert (error.file, error.path) == ("bad.toml", "log.url")
    assert "hunter2" not in str(error)
