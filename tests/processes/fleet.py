"""Several processes over one Redis, and the upstreams that they call."""

import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.processes.member import Member
from tests.redis_server import RedisServer
from tests.upstreams import UpstreamsThread
from tests.viewing import ask

FEEDS = Path(__file__).with_name("feeds.toml").read_text()

# What no process has to say, whatever others do to it.
_FAULT = re.compile(
    r"^.*(?:Traceback|ERROR|CRITICAL|internal error|never retrieved).*$", re.MULTILINE
)
_TAKEN_OVER = re.compile(r"run=(\w+) taken over")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """Processes that serve the same runs."""

    members: Sequence[Member]
    upstreams: UpstreamsThread
    redis: RedisServer

    @property
    def ports(self) -> list[int]:
        """Where they listen."""
        return [member.port for member in self.members]

    @property
    def takeovers(self) -> int:
        """How many runs were taken over."""
        return sum(len(_TAKEN_OVER.findall(member.log())) for member in self.members)

    def release(self, key: str) -> None:
        """Have what is held under a key answer."""
        ask(self.upstreams.base_url, f"/release/{key}")

    def check_logs(self) -> None:
        """See that nobody has met an error on its side.

        Raises:
            AssertionError: Somebody has.
        """
        for member in self.members:
            log = member.log()
            assert not (faults := _FAULT.findall(log)), f"{faults} in\n{log[-4000:]}"


@contextmanager
def fleet_of(
    *apps: str, redis: RedisServer, folder: Path, url: str | None = None, feeds: str = FEEDS
) -> Iterator[Fleet]:
    """Run processes for the block, and look at their logs at its end.

    Args:
        *apps: The application of each.
        redis: What holds their logs.
        folder: Where their files are.
        url: How they find it, where that is not its own URL.
        feeds: The configuration, less `[log]`.
    """
    config = folder / "feeds.toml"
    config.write_text(f'{feeds}\n[log]\nurl = "{url or redis.url}"\n')
    with UpstreamsThread() as upstreams:
        env = {"UPSTREAMS": upstreams.base_url}
        members = [Member(app, config=config, folder=folder, env=env) for app in apps]
        fleet = Fleet(members=members, upstreams=upstreams, redis=redis)
        try:
            _all(members, Member.start)
            yield fleet
            fleet.check_logs()
        finally:
            _all(members, Member.stop)
        fleet.check_logs()


def _all(members: Sequence[Member], do: Callable[[Member], None]) -> None:
    """Do something to all at once."""
    with ThreadPoolExecutor(len(members)) as executor:
        list(executor.map(do, members))
