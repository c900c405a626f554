"""docs/servers.md is about these servers and these points, so that it cannot grow old unnoticed."""

import re

import pytest

from tests.servers.stacks import STACKS
from tests.servers.table import BEGIN, COLUMNS, DOCUMENT, END, Recorder, write_region
from tests.serving import ROOT

STALE = "`make servers` writes it anew"


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def locked_versions(distribution: str) -> set[str]:
    """The versions that are pinned, by markers more than one, without their last part."""
    pins = re.findall(rf"(?m)^{distribution}==(\d+\.\d+)", (ROOT / "requirements.lock").read_text())
    assert pins, f"{distribution} is not in the lock"
    return set(pins)


@pytest.fixture(scope="module")
def table() -> list[list[str]]:
    """The cells of the table, line by line."""
    region = DOCUMENT.read_text().partition(BEGIN)[2].partition(END)[0]
    return [cells(line) for line in region.splitlines() if line.startswith("|")]


def test_its_columns_are_the_points(table):
    """Each point that is tried has its column, and no other is there."""
    assert table[0] == ["stack", *COLUMNS], STALE


def test_its_rows_are_the_stacks(table):
    """Each pair that `fanstream serve` takes has its row."""
    assert [row[0].partition(":")[0] for row in table[2:]] == [s.title for s in STACKS], STALE


@pytest.mark.parametrize("stack", STACKS, ids=str)
def test_its_versions_are_those_of_the_lock(table, stack):
    """What was measured is what is pinned, but for the last part of its version."""
    [row] = [row for row in table[2:] if row[0].startswith(f"{stack.title}:")]
    for distribution in stack.distributions:
        [version] = re.findall(rf"\b{distribution} (\d+\.\d+)", row[0].partition(":")[2])
        assert version in locked_versions(distribution), STALE


def test_every_point_was_measured(table):
    """No cell says that its point was left out of the run."""
    assert [row for row in table if "not measured" in row or "" in row] == []


def test_only_the_region_is_written(tmp_path):
    """What is written by hand around the table stays; a second run replaces the first."""
    document = tmp_path / "servers.md"
    document.write_text(f"# Title\n\n{BEGIN}\nold\n{END}\n\nafter\n")
    for rows in (["| one |"], Recorder().rows()):
        write_region(rows, document=document)
    text = document.read_text()
    assert (text.startswith(f"# Title\n\n{BEGIN}\n"), text.endswith(f"{END}\n\nafter\n")) == (1, 1)
    assert "old" not in text
    assert "| one |" not in text


def test_a_document_without_a_region_is_refused(tmp_path):
    """A run that has nowhere to put its table says so."""
    document = tmp_path / "servers.md"
    document.write_text("# Title\n")
    with pytest.raises(RuntimeError, match="no place"):
        write_region([], document=document)
