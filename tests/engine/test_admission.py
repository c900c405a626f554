"""How many streams may be open at once."""

import pytest

from streaming.core.errors_request import TooManyStreams, TooManyStreamsPerAddress
from streaming.engine.admission import Admission


def test_streams_are_counted_until_they_are_released() -> None:
    """The one beyond the bound is refused, with the bound and a time to wait."""
    admission = Admission(max_streams=2, max_streams_per_address=0)
    admission.take("a")
    admission.take("a")
    with pytest.raises(TooManyStreams) as refused:
        admission.take("b")
    assert (refused.value.max_streams, refused.value.retry_after > 0) == (2, True)
    admission.release("a")
    admission.take("b")
    assert admission.open == 2


def test_an_address_has_a_bound_of_its_own() -> None:
    """Others are not held to it, and what was refused is not counted."""
    admission = Admission(max_streams=10, max_streams_per_address=1)
    admission.take("a")
    for _ in range(3):
        with pytest.raises(TooManyStreamsPerAddress):
            admission.take("a")
    admission.take("b")
    assert admission.open == 2
    admission.release("a")
    admission.take("a")


def test_addresses_that_have_gone_are_forgotten() -> None:
    """A process that lives for months does not remember everyone who was ever there."""
    admission = Admission(max_streams=10, max_streams_per_address=5)
    for n in range(1000):
        admission.take(f"10.0.0.{n}")
        admission.release(f"10.0.0.{n}")
    assert not admission._by_address
