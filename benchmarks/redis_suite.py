"""What the log in Redis carries, and what it costs beside the log in memory: `redis`.

A round has each case at each of its places in turn, on servers and a Redis of their own.
"""

from functools import partial
from importlib.metadata import version
from itertools import product

from benchmarks import report, suite
from benchmarks.contender import Cores
from benchmarks.programs import upstream
from benchmarks.redis_cases import CASES
from benchmarks.redis_measuring import measure
from benchmarks.redis_server import redis_server
from benchmarks.results import Results

NAME = "redis"
ROUNDS = 3

NOTE = (
    "`always`: the log in a Redis with `appendfsync always`, as it is deployed; `no-aof`: in one"
    " without an append-only file; `memory`: in the process. The servers, one or two, share a core;"
    " Redis, the upstream and the client share the other. An event has about 180 bytes. `events"
    " together` are those of one script, of any kind. Logs have"
    " wider bounds than by default, so that none trims itself, but for the one that is said to."
    " The memory is that of a run's keys before its events and after. The connections are those of"
    " `CLIENT LIST`, by name, with all runs live and all viewers there. The first lines of the runs"
    " of a rate are spread over the time between two of a run."
)


def run(*, rounds: int, cores: Cores) -> Results:
    results = suite.begin(NAME, contenders=(), cores=cores)
    results.versions |= {name: version(name) for name in ("redis", "hiredis")}
    with redis_server("no-aof", core=cores.client) as redis:
        results.versions["redis-server"] = redis.version()
    with upstream(cores.client) as said:
        for n, case in product(range(rounds), CASES):
            for place in case.places:
                measured = partial(measure, case, place, upstream_port=said.port, cores=cores)
                results.add(case.name, place.name, round_ := suite.attempt(measured))
                suite.tell(f"{NAME} {case.name} {n + 1}/{rounds}", case, place, round_)
    return results


def document(results: Results) -> str:
    cases = [case for case in CASES if case.name in results.measured]
    tables = (report.case_table(case, results) for case in cases)
    return report.page(results, report.reached([results]), *tables, NOTE, report.NOTES)
