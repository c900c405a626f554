"""The files of the page: all of it is here."""

import re
from pathlib import Path

import pytest

STATIC = Path(__file__).resolve().parents[2] / "static"
FILES = sorted(STATIC.iterdir())

SVG_NAMESPACE = "http://www.w3.org/2000/svg"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_no_file_refers_to_another_host(file):
    """Nothing is asked of anybody else."""
    text = file.read_text().replace(SVG_NAMESPACE, "")
    assert not re.search(r"\b(https?|wss?)://|[\"'(]//", text)


def test_page_has_no_inline_code():
    """What its policy forbids is not in it: no script, style or handler in the markup."""
    page = (STATIC / "index.html").read_text()
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\son\w+\s*=|\sstyle\s*=|javascript:", page)
