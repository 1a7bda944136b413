"""A file is written whole or not at all."""

import os
import resource

import pytest

from gatewise.writing import atomic_write, check_writable


def test_the_file_has_the_new_content_and_nothing_else_is_left(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with atomic_write(path) as file:
        file.write(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_inside_leaves_the_old_content(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def write_half() -> None:
        with atomic_write(path) as file:
            file.write(b"half")
            raise RuntimeError("midway")

    with pytest.raises(RuntimeError, match="midway"):
        write_half()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_process_left_is_overwritten(tmp_path):
    (tmp_path / ".file.partial").write_bytes(b"left behind, and longer")
    with atomic_write(tmp_path / "file") as file:
        file.write(b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_bytes() == b"new"


def test_a_full_disk_leaves_the_old_content(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError, match="too large") as raised, atomic_write(path) as file:
            file.write(b"x" * 100_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert raised.value.filename == str(path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_folder_is_an_error_that_names_the_file(tmp_path):
    path = tmp_path / "missing" / "file"
    with pytest.raises(FileNotFoundError) as raised, atomic_write(path):
        pass
    assert raised.value.filename == str(path)
    with pytest.raises(ValueError, match="file: its folder does not exist"):
        check_writable(path)


def test_an_error_of_another_file_keeps_its_name(tmp_path):
    other = tmp_path / "other"
    with pytest.raises(FileNotFoundError) as raised, atomic_write(tmp_path / "file"):
        other.read_bytes()
    assert raised.value.filename == str(other)


def test_the_content_is_on_the_disk_before_the_file_is_replaced_and_the_folder_after(tmp_path, monkeypatch):
    """Otherwise a failure of power can leave an empty file."""
    path = tmp_path / "file"
    path.write_bytes(b"old")
    seen = []

    def fsync(descriptor):
        seen.append((os.fstat(descriptor).st_ino, path.read_bytes()))

    monkeypatch.setattr(os, "fsync", fsync)
    with atomic_write(path) as file:
        file.write(b"new")
        inode = os.fstat(file.fileno()).st_ino
    assert seen == [(inode, b"old"), (tmp_path.stat().st_ino, b"new")]
