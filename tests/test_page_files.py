"""Forms of the page's files: which is sent, and how long one is kept."""

import gzip
import os

import pytest
from werkzeug.exceptions import NotFound
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request

from streaming import page_files


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder in place of the page's."""
    (folder := tmp_path / "files").mkdir()
    monkeypatch.setattr(page_files, "static_folder", lambda: folder)
    return folder


def read(name, *, accepted="gzip"):
    """Ask for a file; answer its headers and its body."""
    request = Request(EnvironBuilder(headers={"Accept-Encoding": accepted}).get_environ())
    headers, body = page_files.read_file(name, request)
    return dict(headers), body


@pytest.mark.parametrize("body", [b"", b"short", os.urandom(1000)])
def test_a_file_that_gzip_makes_no_shorter(folder, body):
    """It is sent as it lies there, whatever is accepted, and by one tag."""
    (folder / "a.bin").write_bytes(body)
    assert read("a.bin") == read("a.bin", accepted="")
    headers, sent = read("a.bin")
    assert sent == body
    assert "Content-Encoding" not in headers
    assert headers["Content-Type"] == "application/octet-stream"


def test_a_version_is_coded_once(folder):
    """A file that has not changed is not read again; one that has is another, by another tag."""
    path = folder / "a.css"
    path.write_text("a" * 1000)
    before = read("a.css")
    assert read("a.css")[1] is before[1]
    path.write_text("b" * 1000)
    os.utime(path, ns=(0, 10**18))
    headers, body = read("a.css")
    assert gzip.decompress(body) == b"b" * 1000
    assert headers["ETag"] != before[0]["ETag"]
    assert headers["Last-Modified"] == "Sun, 09 Sep 2001 01:46:40 GMT"
    path.unlink()
    with pytest.raises(NotFound):
        read("a.css")


def test_the_same_bytes_have_the_same_tag(folder):
    """On each machine that serves them, whenever they were copied there."""
    path = folder / "a.css"
    path.write_text("a" * 1000)
    tags = set()
    for seconds in (1, 2):
        os.utime(path, (seconds, seconds))
        tags.add(read("a.css")[0]["ETag"])
    assert len(tags) == 1


def test_what_is_kept_is_bounded(folder):
    """However many files and versions there are."""
    for n in range(100):
        (folder / f"{n}.txt").write_text(f"{n}")
        read(f"{n}.txt")
    kept = page_files._read_form.cache_info()
    assert kept.currsize == kept.maxsize < 100


@pytest.mark.parametrize("name", ["", ".", "sub", "../beside", "a\0b", "n" * 5000, "/etc/passwd"])
def test_what_is_no_file_of_the_folder(folder, name):
    """Neither a folder, nor what lies beside it, nor a name that no file can have."""
    (folder / "sub").mkdir()
    (folder.parent / "beside").write_text("not for you")
    with pytest.raises(NotFound):
        read(name)
