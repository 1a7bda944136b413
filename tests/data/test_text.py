"""Text is read strictly and split without loss."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewise.data.text import read_text, sha256, split_by_position


def test_files_are_joined_as_they_are(tmp_path):
    (tmp_path / "a").write_bytes("é\r\n".encode())
    (tmp_path / "b").write_bytes("\N{ZERO WIDTH NO-BREAK SPACE}ü".encode())  # with a byte order mark
    assert read_text([tmp_path / "a", tmp_path / "b"]) == "é\r\nü"


def test_what_is_not_utf8_is_named_with_its_offset(tmp_path):
    path = tmp_path / "latin1.txt"
    path.write_bytes(b"caf\xe9!")
    with pytest.raises(
        ValueError, match=re.escape(f"{path}: line 1: not UTF-8: byte 0xe9 at offset 3; convert the file")
    ):
        read_text([path])


def test_utf16_is_named(tmp_path):
    path = tmp_path / "text"
    path.write_text("für", encoding="utf-16")
    with pytest.raises(
        ValueError,
        match=re.escape("line 1: not UTF-8: byte 0xff at offset 0; convert the file to UTF-8 first (iconv -f"),
    ):
        read_text([path])


@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf"])
def test_an_empty_file_is_named(tmp_path, content):
    path = tmp_path / "empty.txt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=re.escape(f"{path}: the file is empty")):
        read_text([path])


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="missing"):
        read_text([tmp_path / "missing"])


def test_sha256_is_that_of_the_utf8_bytes():
    assert sha256("é") == "4a99557e4033c3539de2eb65472017cad5f9557f7a0625a09f1c3f6e2ba69c4c"


@given(st.text(alphabet="ab\n", min_size=1), st.floats(0.01, 0.99), st.booleans())
def test_a_split_loses_nothing_and_cuts_no_word(text, held_out, at_line_end):
    training, rest = split_by_position(text, held_out, at_line_end=at_line_end)
    assert training + rest == text
    cut = len(text) - int(held_out * len(text))
    if not at_line_end or "\n" not in text[cut:]:
        assert len(training) == cut
    else:
        assert training.endswith("\n")
        assert "\n" not in text[cut : len(training) - 1]


def test_nul_bytes_are_refused_with_their_line(tmp_path):
    path = tmp_path / "text"
    path.write_bytes(b"one\ntw\0o\n")
    with pytest.raises(ValueError, match=re.escape(f"{path}: line 2: a NUL byte at offset 6")):
        read_text([path])
