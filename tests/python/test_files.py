"""Files are written whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
import threading

import pytest

from vecmarket.files import write_atomically


def test_a_new_file_and_its_folders(tmp_path):
    path = tmp_path / "deep" / "down" / "file"
    write_atomically(path, b"\x00one\r\n")
    assert path.read_bytes() == b"\x00one\r\n"
    assert os.listdir(path.parent) == ["file"]


def test_the_old_file_stands_until_the_new_one_is_whole(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    seen = []
    synced, replace = [], os.replace

    def look(source, target):
        seen.append((path.read_bytes(), source.read_bytes(), source.parent, len(synced)))
        replace(source, target)

    monkeypatch.setattr("os.fsync", synced.append)
    monkeypatch.setattr("os.replace", look)
    write_atomically(path, b"new")
    assert seen == [(b"old", b"new", tmp_path, 1)]
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize("moment", ["fsync", "replace"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError("disk full")])
def test_what_ends_the_writing_leaves_the_old_file_alone(tmp_path, monkeypatch, moment, error):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def crash(*_):
        raise error

    monkeypatch.setattr(f"os.{moment}", crash)
    with pytest.raises((KeyboardInterrupt, OSError)):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no permission bits")
def test_a_file_gets_the_permissions_of_any_new_file(tmp_path):
    before = os.umask(0o027)
    try:
        write_atomically(tmp_path / "file", b"")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640


def test_writers_at_once_leave_one_whole_file(tmp_path):
    path = tmp_path / "file"
    contents = [bytes([letter]) * 100_000 for letter in b"abcd"]
    threads = [threading.Thread(target=write_atomically, args=(path, content)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_bytes() in contents
    assert os.listdir(tmp_path) == ["file"]


def test_a_folder_in_the_way_is_an_error_and_stays(tmp_path):
    (tmp_path / "name").mkdir()
    with pytest.raises(OSError, match="name") as caught:
        write_atomically(tmp_path / "name", b"")
    assert caught.value.filename == str(tmp_path / "name")
    assert ".tmp" not in str(caught.value)
    assert os.listdir(tmp_path) == ["name"]


@pytest.mark.parametrize(("code", "kind"), [(errno.ENOSPC, OSError), (errno.EACCES, PermissionError)])
def test_a_full_disk_says_which_file_it_was(tmp_path, monkeypatch, code, kind):
    def full(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(kind) as caught:
        write_atomically(tmp_path / "file", b"new")
    assert (caught.value.errno, caught.value.filename) == (code, str(tmp_path / "file"))
    assert os.listdir(tmp_path) == []
