"""Redis that answers nothing for a while: everybody waits, and nobody is taken for dead."""

import asyncio
import random

import pytest

from tests.processes.audience import Audience
from tests.processes.fleet import Fleet
from tests.processes.ledger import Ledger, check_whole
from tests.viewing import ask, eventually, problem

# Seconds: a lease, and for how long Redis is away, mostly a little less.
LEASE = 5.5
AWAY = (4.5, 4.8, 6.0)

UPSTREAMS = ("quick", "slow", "bought", "lines")


async def test_viewers_stay_while_redis_is_frozen(pair: Fleet, key: str) -> None:
    """Viewers keep their streams and get beats; then they see all that was said meanwhile."""
    async with Audience(pair.members[0].base_url) as audience:
        run = await audience.start_run("mixed", {"key": key})
        for member in pair.members:
            audience.watch(run, viewers=5, base_url=member.base_url)
        await audience.wait_count("open", 10)
        pair.redis.freeze()
        try:
            # A viewer gets one each second: for 7 s.
            await audience.wait_beats(70)
            for member in pair.members:
                assert ask(member.base_url, "/readyz").status_code == 503
                refused = ask(member.base_url, "/feeds/held?key=b")
                assert problem(refused)["type"] == "urn:fanstream:log-unreachable"
                assert int(refused.headers["Retry-After"]) > 0
        finally:
            pair.redis.thaw()
    _check(pair, audience, run)
    for member in pair.members:
        assert ask(member.base_url, "/readyz").status_code == 200


async def test_nobody_is_taken_for_dead_because_redis_was_away(pair: Fleet, key: str) -> None:
    """Runs stay where they are, however long Redis was frozen."""
    async with Audience("", timeout=80.0) as audience:
        runs = []
        for n, member in enumerate(pair.members):
            params = {"key": f"{key}-{n}", "lines": 400}
            runs.append(await audience.start_run("ticks", params, base_url=member.base_url))
            audience.watch(runs[-1], base_url=member.base_url)
        # Within its first lease nobody judges others.
        await asyncio.sleep(LEASE)
        for away in AWAY:
            pair.redis.freeze()
            await asyncio.sleep(away)
            pair.redis.thaw()
            # Beats are a second apart: of what the processes do, when is not for a test to say.
            await asyncio.sleep(random.uniform(1.0, 2.0))
    for run in runs:
        assert check_whole(audience.story(run), upstreams=["lines"])["ok"] == 1
    assert pair.takeovers == 0


@pytest.mark.parametrize("feed", ["held", "shared"])
async def test_process_without_runs_serves_again(pair: Fleet, key: str, feed: str) -> None:
    """A process that was asked while Redis was away takes runs once it is there again."""
    pair.redis.kill()
    for member in pair.members:
        assert ask(member.base_url, f"/feeds/{feed}?key={key}").status_code == 503
    pair.redis.start()
    for member in pair.members:
        eventually(lambda member=member: ask(member.base_url, "/readyz").status_code == 200)


def _check(fleet: Fleet, audience: Audience, run: str) -> None:
    story = audience.story(run)
    assert check_whole(story, upstreams=UPSTREAMS)["ok"] == len(UPSTREAMS)
    assert audience.reconnects == 0
    assert fleet.takeovers == 0
    ledger = Ledger(fleet.upstreams)
    assert ledger.repeated == 0
