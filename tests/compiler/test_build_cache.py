"""The folder of compiled cells: private, its files whole or not there."""

import os
import time
from pathlib import Path

import pytest

from gatewise.compiler import build_cache


@pytest.fixture
def library(tmp_path: Path) -> Path:
    path = tmp_path / "some.so"
    build_cache.write(b"a library" * 1000, path)
    return path


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"GATEWISE_CACHE": "/a/b", "XDG_CACHE_HOME": "/c", "HOME": "/d"}, "/a/b"),
        ({"XDG_CACHE_HOME": "/c", "HOME": "/d"}, "/c/gatewise"),
        ({"XDG_CACHE_HOME": "c", "HOME": "/d"}, "/d/.cache/gatewise"),
        ({"GATEWISE_CACHE": "", "HOME": "/d"}, "/d/.cache/gatewise"),
    ],
)
def test_location_of_the_folder(variables: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch):
    for name in ("GATEWISE_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert build_cache.folder() == Path(expected)


def test_a_user_without_a_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """As one without a name in a container: nothing is made in a folder called ~."""
    monkeypatch.chdir(tmp_path)
    for name in ("GATEWISE_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    with pytest.raises(OSError, match="the user has no home folder") as refused:
        build_cache.private_folder()
    assert refused.value.filename == "~/.cache"
    assert list(tmp_path.iterdir()) == []


def test_relative_folder_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GATEWISE_CACHE", "cells")
    assert build_cache.folder() == tmp_path / "cells"


def test_folder_is_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GATEWISE_CACHE", str(tmp_path / "deep" / "down"))
    before = os.umask(0)
    try:
        made = build_cache.private_folder()
        build_cache.write(b"", made / "some.so")
    finally:
        os.umask(before)
    assert made.stat().st_mode & 0o777 == 0o700
    assert (made / "some.so").stat().st_mode & 0o777 == 0o600
    assert build_cache.private_folder() == made


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o770, 0o702])
def test_writable_by_others_raises(mode: int, tmp_path: Path, library: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GATEWISE_CACHE", str(tmp_path))
    for path, look in ((tmp_path, build_cache.private_folder), (library, lambda: build_cache.is_complete(library))):
        path.chmod(mode)
        with pytest.raises(PermissionError, match=r"can be written by others \(chmod go-w\)") as refused:
            look()
        assert refused.value.filename == str(path)
        path.chmod(0o755)
        look()


def test_owned_by_others_raises(tmp_path: Path, library: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GATEWISE_CACHE", str(tmp_path))
    me = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: me + 1)
    for look in (build_cache.private_folder, lambda: build_cache.is_complete(library)):
        with pytest.raises(PermissionError, match=rf"belongs to another user \(number {me}\)"):
            look()


def test_truncated_or_changed_libraries_are_not_complete(library: Path):
    assert build_cache.is_complete(library)
    assert not build_cache.is_complete(library.with_name("other.so"))
    content = library.read_bytes()
    changed = bytearray(content)
    changed[100] ^= 1
    for other in (b"", content[:20], content[: len(content) // 2], content[:-1], content + b"\0", bytes(changed)):
        library.write_bytes(other)
        assert not build_cache.is_complete(library)


def test_full_disk_leaves_the_old_library(library: Path, monkeypatch: pytest.MonkeyPatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        build_cache.write(b"another", library)
    assert build_cache.is_complete(library)
    assert list(library.parent.iterdir()) == [library]


def test_leftovers_of_killed_processes_are_removed_after_a_day(library: Path):
    old, young = (library.parent / f"{build_cache.WORK}{name}" for name in ("old", "young"))
    file = library.parent / f"{build_cache.WORK}file"
    for left in (old, young):
        left.mkdir()
        (left / "cell.cpp").touch()
    file.touch()
    for left in (old, file, library):
        os.utime(left, (time.time() - 100_000,) * 2)
    build_cache.remove_leftovers(library.parent)
    assert sorted(library.parent.iterdir()) == sorted([library, young])
