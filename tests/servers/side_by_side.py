"""Scenarios that wait more than they work, a few at a time; each result serves several tests."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

import pytest

# Servers that are started and ended at once; beyond the processors they only wait for each other.
AT_A_TIME = 3

T = TypeVar("T")


@contextmanager
def side_by_side(
    request: pytest.FixtureRequest, run: Callable[[Any], T]
) -> Iterator[Callable[[Any], T]]:
    """Run what the tests of a module ask for, each case once; give what waits for one result.

    Args:
        request: Of the fixture that the block is in, of a module's scope.
        run: Runs one case.
    """
    items = [item for item in request.session.items if item.path == request.path]
    # In the order of the tests, and only those that were selected.
    cases = dict.fromkeys(
        item.callspec.params["case"] for item in items if hasattr(item, "callspec")
    )
    # Made here: each of the threads would make one of its own, were it the first to ask for it.
    request.getfixturevalue("tmp_path_factory").getbasetemp()
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        results: dict[Any, Future[T]] = {case: pool.submit(run, case) for case in cases}
        yield lambda case: results[case].result()
        for result in results.values():
            result.cancel()
