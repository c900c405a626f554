"""The page in a real browser, where the configuration asks for tokens: it brings a cookie."""

import jwt
import pytest
from playwright.sync_api import expect

from tests.browser import FeedPage
from tests.serving import serving

SECRET = "correct horse battery staple, twice"

CONFIG = f"""
[auth]
jwt_secret = "{SECRET}"

[feeds.one]
upstreams.one = {{ url = "${{UPSTREAMS}}/one", retries = 0 }}

[feeds.two]
upstreams.two = {{ url = "${{UPSTREAMS}}/two", retries = 0 }}
"""


@pytest.fixture(params=["quart", "flask"])
def page(request, tmp_path, browser, gates):
    """A page that nobody has opened yet, the application's address, and its upstreams."""
    env = {"UPSTREAMS": gates.base_url}
    with (
        serving(request.param, CONFIG, folder=tmp_path, env=env) as served,
        browser.new_context() as context,
    ):
        yield context.new_page(), served.base_url, gates


def test_without_a_token_it_says_so(page):
    """The page comes, and says in words what its list of feeds was refused for."""
    tab, url, _ = page
    tab.goto(url)
    expect(tab.locator("#notice")).to_contain_text("bearer token")


def test_with_a_cookie_it_shows_what_one_may_run(page):
    """A browser that has the cookie sees its feeds, and their streams."""
    tab, url, gates = page
    token = jwt.encode({"sub": "ada", "feeds": ["two"]}, SECRET, algorithm="HS256")
    tab.context.add_cookies([{"name": "fanstream", "value": token, "url": url, "httpOnly": True}])
    feed_page = FeedPage(tab, url)
    assert tab.locator("#feed option").all_text_contents() == ["two"]
    feed_page.start("two")
    gates.answer("two", "2")
    feed_page.wait_end("finished")
