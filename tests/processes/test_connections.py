"""How many connections a process has to Redis."""

import asyncio

from tests.processes.audience import Audience
from tests.processes.fleet import Fleet

OF_A_PROCESS = ["fanstream-reads", "fanstream-wakes", "fanstream-writes"]


async def test_a_process_has_three_connections(pair: Fleet, key: str) -> None:
    """However many runs and viewers there are, each process has its three connections."""
    names = sorted(OF_A_PROCESS * len(pair.members))
    async with Audience(pair.members[0].base_url) as audience:
        for n in range(20):
            run = await audience.start_run("held", {"key": f"{key}-{n}"})
            for member in pair.members:
                audience.watch(run, viewers=5, base_url=member.base_url)
        await audience.wait_beats(200)
        assert await asyncio.to_thread(pair.redis.client_names) == names
        for n in range(20):
            pair.release(f"{key}-{n}")
    assert audience.counts["viewers"] == sum(story.ends for story in audience.stories.values())
