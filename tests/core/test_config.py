"""A document made into settings."""

import tomllib

import pytest

from streaming.core.config import parse
from streaming.core.errors import ConfigError
from streaming.core.feed import Feed, Param, Upstream
from streaming.core.settings import AuthSettings, LogSettings, ServerSettings, Settings

EXAMPLE = """
[server]
max_streams = 1000
max_streams_per_address = 0
trusted_proxies = []
max_runs = 10000
ping_interval = 15.0
retry_ms = 2000
max_stream_age = 3600.0
max_lag_events = 10000
max_lag_bytes = 8388608
send_timeout = 30.0
drain_timeout = 10.0
max_connections = 1000
max_body_bytes = 1048576
cors_origins = []

[log]
url = "memory:"
max_bytes = 268435456
max_events = 10000
max_log_bytes = 16777216

[auth]
jwt_secret = "${FANSTREAM_JWT_SECRET}"
algorithms = ["HS256"]
cookie = "fanstream"

[feeds.city]
title = ""
timeout = 30.0
on_disconnect = "linger"
linger = 15.0
share = false
keep = 300.0

[feeds.city.params.name]
type = "string"
pattern = ".*"
max_length = 200
default = "Paris"
label = ""

[feeds.city.upstreams.weather]
url = "https://api.example.com/v1/weather?city={name}"
method = "GET"
headers = { Authorization = "Bearer ${WEATHER_TOKEN}" }
json = {}
read = "json"
idempotent = false
connect_timeout = 5.0
first_byte_timeout = 10.0
idle_timeout = 10.0
timeout = 30.0
retries = 2
retry_statuses = [429, 502, 503, 504]
backoff = 0.1
max_backoff = 2.0
ok_statuses = ["2xx"]
max_bytes = 1048576
max_piece_bytes = 65536
follow_redirects = false
redirect_hosts = []
ca_file = ""
verify = true
proxy = ""
trust_env = false
"""
"""The contract's block: every key with its default, but for what only an example can say."""

ENV = {"FANSTREAM_JWT_SECRET": "s3cret", "WEATHER_TOKEN": "t0ken", "EMPTY": ""}

FEED = """
[feeds.city.params.name]
[feeds.city.upstreams.weather]
url = "https://api.example.com"
"""


def parsed(text, env=ENV):
    return parse(tomllib.loads(text), env=env)


def refused(text, env=ENV):
    with pytest.raises(ConfigError) as raised:
        parsed(text, env)
    return raised.value


def test_the_contracts_block_is_the_defaults():
    """A file that says every default says nothing."""
    token = {"Authorization": "Bearer t0ken"}
    weather = Upstream(
        url="https://api.example.com/v1/weather?city={name}",
        headers=token,
        json={},
        timeout=30.0,
        retries=2,
        max_bytes=1048576,
    )
    city = Feed("city", params={"name": Param(default="Paris")}, upstreams={"weather": weather})
    auth = AuthSettings(jwt_secret="s3cret")
    assert parsed(EXAMPLE) == Settings(auth=auth, feeds={"city": city})


def test_only_the_url_of_an_upstream_is_required():
    """The rest is the defaults, and without `[auth]` there is none."""
    settings = parsed(FEED)
    assert (settings.server, settings.log) == (ServerSettings(), LogSettings())
    assert settings.auth is None
    assert settings.feeds["city"].upstreams["weather"] == Upstream(url="https://api.example.com")


def test_an_empty_document_is_the_defaults():
    """A file without feeds is one."""
    assert parsed("") == Settings()


def test_an_integer_is_fine_for_a_float():
    """Seconds need no decimal point."""
    assert parsed("[server]\nping_interval = 15").server == ServerSettings()


def test_auth_without_a_key_takes_the_secret_of_the_contract():
    """The default of `jwt_secret` comes from the environment too."""
    auth = parsed("[auth]").auth
    assert auth is not None
    assert auth.jwt_secret == "s3cret"


UNKNOWN = [
    ("sever = 1", "sever", "unknown key; did you mean 'server'?"),
    ("[server]\nmax_stream = 1", "server.max_stream", "unknown key; did you mean 'max_streams'?"),
    ("[log]\nzzz = 1", "log.zzz", "unknown key"),
    ("[auth]\nsecret = 1", "auth.secret", "unknown key; did you mean 'jwt_secret'?"),
    ("[feeds.city]\ntimout = 1", "feeds.city.timout", "unknown key; did you mean 'timeout'?"),
    ("[feeds.city]\nname = 'x'", "feeds.city.name", "unknown key"),
    ("[feeds.city.params.n]\ntyp = ''", "feeds.city.params.n.typ", "unknown key; did you mean"),
    ("[feeds.c.upstreams.w]\nurls = ''", "feeds.c.upstreams.w.urls", "unknown key; did you mean"),
    ("[feeds.c.upstreams.w]\n_ok = 1", "feeds.c.upstreams.w._ok", "unknown key"),
    ("[feeds.c.upstreams.w]\noptions = 1", "feeds.c.upstreams.w.options", "unknown key"),
]
TYPES = [
    ("server = 1", "server", "expected a table"),
    ("feeds = []", "feeds", "expected a table"),
    ("[feeds]\ncity = 1", "feeds.city", "expected a table"),
    ("[feeds.city]\nparams = []", "feeds.city.params", "expected a table"),
    ("[feeds.city]\nupstreams.w = 1", "feeds.city.upstreams.w", "expected a table"),
    (
        "[feeds.city.upstreams.weather]\nurl='https://a'\ntimeout='x'",
        "feeds.city.upstreams.weather.timeout",
        "expected a number above 0, got 'x'",
    ),
    ("[server]\nping_interval = inf", "server.ping_interval", "expected a number above 0, got inf"),
    ("[server]\nsend_timeout = nan", "server.send_timeout", "expected a number above 0, got nan"),
    ("[server]\nmax_runs = true", "server.max_runs", "expected an integer above 0, got true"),
    ("[server]\nmax_runs = 1.0", "server.max_runs", "expected an integer above 0, got 1.0"),
    (
        "[server]\nsend_timeout = 2024-02-29",
        "server.send_timeout",
        "expected a number above 0, got a date or time",
    ),
    (
        "[feeds.c.upstreams.w]\nurl='https://a'\njson={at=[07:32:00]}",
        "feeds.c.upstreams.w.json.at[0]",
        "expected what JSON can say, got time",
    ),
    (
        "[feeds.c.upstreams.w]\nurl='https://a'\njson={x=nan}",
        "feeds.c.upstreams.w.json.x",
        "expected a finite number, got nan",
    ),
]
FEEDS = [
    ("[feeds.city]", "feeds.city.upstreams", "expected at least one upstream"),
    ("[feeds.c.upstreams.w]", "feeds.c.upstreams.w.url", "is missing, and there is no default"),
    ("[feeds.'a b'.upstreams.w]\nurl='https://a'", 'feeds."a b"', "expected a name of letters"),
    (
        "[feeds.a.upstreams.'w/']\nurl='https://a'",
        'feeds.a.upstreams."w/"',
        "expected a name of letters",
    ),
    (f"{FEED}[feeds.city.params.ping]", "feeds.city.params.ping", "is a reserved name"),
    (
        "[feeds.c.upstreams.w]\nurl='https://a/{x}'",
        "feeds.c.upstreams.w.url",
        "unknown parameter 'x'",
    ),
    (
        "[feeds.c.upstreams.w]\nurl='https://a'\nheaders={X-A='{x}'}",
        "feeds.c.upstreams.w.headers.X-A",
        "unknown parameter 'x'",
    ),
    (
        "[feeds.c.params.n]\npattern='('\n[feeds.c.upstreams.w]\nurl='https://a'",
        "feeds.c.params.n.pattern",
        "is not a regular expression: ",
    ),
    (
        "[feeds.c.params.n]\ntype='integer'\ndefault='3'",
        "feeds.c.params.n.default",
        "must be an integer",
    ),
]


@pytest.mark.parametrize(("text", "path", "reason"), UNKNOWN + TYPES + FEEDS)
def test_a_mistake_is_told_with_its_whole_path(text, path, reason):
    """Who wrote the file learns where, and what was expected."""
    error = refused(text)
    assert error.path == path
    assert error.reason.startswith(reason)


UPSTREAM = "[feeds.c.params.n]\n[feeds.c.upstreams.w]\n"


def upstream_of(text, env):
    return parsed(UPSTREAM + text, env).feeds["c"].upstreams["w"]


@pytest.mark.parametrize(
    ("text", "path", "reason"),
    [
        ("[log]\nurl='${NO}'", "log.url", "environment variable NO is not set"),
        ("[auth]\njwt_secret='${NO}'", "auth.jwt_secret", "environment variable NO is not set"),
        (
            f"{UPSTREAM}url='${{NO}}'",
            "feeds.c.upstreams.w.url",
            "environment variable NO is not set",
        ),
        (
            f"{UPSTREAM}url='https://a'\nheaders={{A='x ${{NO}}'}}",
            "feeds.c.upstreams.w.headers.A",
            "environment variable NO is not set",
        ),
        (
            f"{UPSTREAM}url='https://a'\njson={{a=[{{b='${{NO}}'}}]}}",
            "feeds.c.upstreams.w.json.a[0].b",
            "environment variable NO is not set",
        ),
        ("[log]\nurl='redis://${A-B}'", "log.url", "has a '${' that names no variable"),
        ("[log]\nurl='${BYTES}'", "log.url", "environment variable BYTES is not valid UTF-8"),
    ],
)
def test_a_variable_that_is_not_there_is_named_with_the_key(text, path, reason):
    """Who starts it learns what to set, and where it is wanted."""
    error = refused(text, {"BYTES": "\udcff"})
    assert (error.path, error.reason[: len(reason)]) == (path, reason)


def test_the_environment_fills_all_strings_that_may_hold_secrets():
    """URL, headers, body, proxy and file of authorities take `${NAME}`."""
    text = """url = "${BASE}/x?key=${KEY}"
    headers = { A = "Bearer ${KEY}" }
    json = { a = ["${KEY}"] }
    proxy = "http://me:${KEY}@proxy"
    ca_file = "/${KEY}.pem"
    """
    upstream = upstream_of(text, {"BASE": "http://127.0.0.1:8001", "KEY": "k"})
    assert upstream.url == "http://127.0.0.1:8001/x?key=k"
    assert (upstream.headers, upstream.json) == ({"A": "Bearer k"}, {"a": ["k"]})
    assert (upstream.proxy, upstream.ca_file) == ("http://me:k@proxy", "/k.pem")


def test_the_environment_fills_no_other_string():
    """A title is what is written."""
    assert parsed(f"[feeds.city]\ntitle = '${{KEY}}'\n{FEED}").feeds["city"].title == "${KEY}"


@pytest.mark.parametrize("value", ["{n}", "{{n}}", "}", "{", "${KEY}", "{n!r}"])
def test_what_comes_from_the_environment_is_literal(value):
    """Braces in a secret are neither a parameter nor a mistake."""
    upstream = upstream_of(
        "url='https://a'\nheaders={A='${KEY}{n}'}\njson={b='${KEY}'}", {"KEY": value}
    )
    header = dict(upstream.header_templates)["A"]
    assert header.render({"n": "!"}, str) == f"{value}!"
    assert upstream.json_template.render({}) == f'{{"b":"{value}"}}'.encode()


def test_doubled_braces_keep_a_dollar_from_naming_a_variable():
    """`${{NAME}}` is the text `${NAME}`."""
    upstream = upstream_of("url='https://a'\njson='${{KEY}}'", {"KEY": "k"})
    assert upstream.json_template.render({}) == b'"${KEY}"'


@pytest.mark.parametrize("value", ["hunter2\r\nX-B: 1", "hunter2\n", "hunter2\0"])
def test_a_header_from_the_environment_stays_one_header(value):
    """A line's end in a secret is a mistake, also the one that an editor put at its end."""
    error = refused(f"{UPSTREAM}url='https://a'\nheaders={{A='${{KEY}}'}}", {"KEY": value})
    assert error.path == "feeds.c.upstreams.w.headers.A"


@pytest.mark.parametrize(
    "text",
    [
        "[log]\nurl='${KEY}'",
        "[log]\nmax_bytes='${KEY}'",
        "[auth]\njwks_url='${KEY}'",
        "[auth]\njwt_secret='x'\nalgorithms=['${KEY}']",
        "[auth]\njwt_secret='x'\ncookie='${KEY}'",
        f"{UPSTREAM}url='${{KEY}}'",
        f"{UPSTREAM}url='http://me:${{KEY}}@a'",
        f"{UPSTREAM}url='http://${{KEY}}'",
        f"{UPSTREAM}url='https://a'\nproxy='${{KEY}}'",
        f"{UPSTREAM}url='https://a'\nheaders={{Connection='${{KEY}}'}}",
    ],
)
def test_no_error_shows_what_comes_from_the_environment(text):
    """A secret that does not fit is not printed for it."""
    error = refused(text, {"KEY": "hunter 2"})
    assert "hunter" not in str(error) + repr(error)


def test_a_document_nested_without_end_is_refused():
    """A file that no one wrote by hand ends in a sentence, not in a traceback."""
    value = []
    for _ in range(5000):
        value = [value]
    document = {"feeds": {"a": {"upstreams": {"b": {"url": "https://a", "json": value}}}}}
    with pytest.raises(ConfigError, match="is nested"):
        parse(document, env={})
