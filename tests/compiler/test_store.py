"""The folder of compiled cells: private, its files whole or not there."""

import os
import time
from pathlib import Path

import pytest

from gatewise.compiler import store


@pytest.fixture
def library(tmp_path: Path) -> Path:
    path = tmp_path / "some.so"
    store.keep(b"a library" * 1000, path)
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
def test_where_it_is(variables: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch):
    for name in ("GATEWISE_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert store.folder() == Path(expected)


def test_a_user_without_a_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """As one without a name in a container: nothing is made in a folder called ~."""
    monkeypatch.chdir(tmp_path)
    for name in ("GATEWISE_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    with pytest.raises(OSError, match="the user has no home folder") as refused:
        store.private_folder()
    assert refused.value.filename == "~/.cache"
    assert list(tmp_path.iterdir()) == []


def test_a_folder_named_from_here_is_taken_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GATEWISE_CACHE", "cells")
    assert store.folder() == tmp_path / "cells"


def test_it_is_made_for_its_owner_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GATEWISE_CACHE", str(tmp_path / "deep" / "down"))
    before = os.umask(0)
    try:
        made = store.private_folder()
        store.keep(b"", made / "some.so")
    finally:
        os.umask(before)
    assert made.stat().st_mode & 0o777 == 0o700
    assert (made / "some.so").stat().st_mode & 0o777 == 0o600
    assert store.private_folder() == made


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o770, 0o702])
def test_what_others_can_write_is_refused(mode: int, tmp_path: Path, library: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GATEWISE_CACHE", str(tmp_path))
    for path, look in ((tmp_path, store.private_folder), (library, lambda: store.is_whole(library))):
        path.chmod(mode)
        with pytest.raises(PermissionError, match=r"can be written by others \(chmod go-w\)") as refused:
            look()
        assert refused.value.filename == str(path)
        path.chmod(0o755)
        look()


def test_what_others_own_is_refused(tmp_path: Path, library: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GATEWISE_CACHE", str(tmp_path))
    me = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: me + 1)
    for look in (store.private_folder, lambda: store.is_whole(library)):
        with pytest.raises(PermissionError, match=rf"belongs to another user \(number {me}\)"):
            look()


def test_only_what_is_complete_is_whole(library: Path):
    assert store.is_whole(library)
    assert not store.is_whole(library.with_name("other.so"))
    content = library.read_bytes()
    changed = bytearray(content)
    changed[100] ^= 1
    for other in (b"", content[:20], content[: len(content) // 2], content[:-1], content + b"\0", bytes(changed)):
        library.write_bytes(other)
        assert not store.is_whole(library)


def test_a_full_disk_leaves_what_was_there(library: Path, monkeypatch: pytest.MonkeyPatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        store.keep(b"another", library)
    assert store.is_whole(library)
    assert list(library.parent.iterdir()) == [library]


def test_leftovers_of_killed_processes_go_after_a_day(library: Path):
    old, young = (library.parent / f"{store.WORK}{name}" for name in ("old", "young"))
    file = library.parent / f"{store.WORK}file"
    for left in (old, young):
        left.mkdir()
        (left / "cell.cpp").touch()
    file.touch()
    for left in (old, file, library):
        os.utime(left, (time.time() - 100_000,) * 2)
    store.remove_leftovers(library.parent)
    assert sorted(library.parent.iterdir()) == sorted([library, young])
