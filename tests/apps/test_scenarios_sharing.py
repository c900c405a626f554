"""Who sees the same run, on both applications (CONTRACT "Joining")."""

import pytest

from tests.viewing import ask, watching


@pytest.mark.parametrize("feed", ["shared", "shared_by_all"])
def test_two_viewers_cause_one_set_of_calls(url, upstreams, release, key, feed):
    """Where a feed is shared, the second viewer joins the first one's run and sees all of it."""
    path = f"/feeds/{feed}?key={key}"
    with watching(url, path) as first:
        early = [first.until("start"), first.until("result", upstream="a")]
        with watching(url, path) as second:
            joined = [next(second), next(second)]
            release(key)
            assert [*early, *first.rest()] == [*joined, *second.rest()]
    assert (upstreams.calls[f"/json/{key}-a"], upstreams.calls[f"/held/{key}"]) == (1, 1)


def test_without_share_each_viewer_has_a_run(url, upstreams, release, key):
    """Where it is not, each request starts its own."""
    path = f"/feeds/held?key={key}"
    with watching(url, path) as first, watching(url, path) as second:
        assert first.until("start").data["run"] != second.until("start").data["run"]
        upstreams.wait_calls(f"/held/{key}", 2)
        release(key)


def test_default_and_given_value_are_the_same(url, release, key):
    """Parameters compare after the defaults are filled in."""
    with (
        watching(url, f"/feeds/shared?key={key}") as first,
        watching(url, f"/feeds/shared?city=Paris&key={key}") as second,
    ):
        assert next(first) == next(second)
        release(key)


def test_another_value_is_another_run(url, release, key):
    """Other parameters, another run."""
    with (
        watching(url, f"/feeds/shared?key={key}") as first,
        watching(url, f"/feeds/shared?key={key}&city=Oslo") as second,
    ):
        assert next(first).data["run"] != next(second).data["run"]
        release(key)


def test_get_and_post_join_each_other(url, upstreams, release, key):
    """A run that a POST started is joined by a GET, and by another POST."""
    created = ask(url, "/feeds/shared", method="POST", json={"key": key})
    joined = ask(url, "/feeds/shared", method="POST", json={"key": key, "city": "Paris"})
    assert (created.status_code, joined.status_code) == (201, 200)
    with watching(url, f"/feeds/shared?key={key}") as viewer:
        assert next(viewer).data["run"] == created.json()["run"] == joined.json()["run"]
        release(key)
    assert upstreams.calls[f"/held/{key}"] == 1


def test_an_ended_run_is_not_joined(url, upstreams, release, key):
    """A request after the end starts anew, so that nobody is given stale answers."""
    release(key)
    first, second = (ask(url, f"/feeds/shared?key={key}&format=json").json() for _ in range(2))
    assert first["run"] != second["run"]
    assert upstreams.calls[f"/json/{key}-a"] == 2


def test_one_viewer_leaving_does_not_disturb_the_other(url, release, key):
    """A shared run goes on for who still watches it."""
    with watching(url, f"/feeds/shared?key={key}") as staying:
        with watching(url, f"/feeds/shared?key={key}") as leaving:
            next(leaving)
        release(key)
        assert staying.until("done").data["reason"] == "finished"
