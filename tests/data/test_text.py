"""Text is read strictly and split without loss."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gatewise.data.text import RepeatedChunks, decoded, read_text, sha256, text_chunks


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


@given(content=st.binary(max_size=60) | st.text(max_size=30).map(str.encode), size=st.integers(1, 9))
@example(content="€\N{GRINNING FACE}é".encode(), size=1)
@example(content=b"\xef\xbb\xbfa\xef\xbb\xbf", size=2)
@example(content=b"a\n\xe2\x82", size=4)
def test_a_file_read_in_parts_of_any_size_is_the_whole(tmp_path_factory, content, size):
    def outcome(read):
        try:
            return read()
        except ValueError as error:
            return str(error)

    path = tmp_path_factory.getbasetemp() / "text"
    path.write_bytes(content)
    whole = outcome(lambda: decoded(path, content))
    if not whole:
        whole = f"{path}: the file is empty; expected UTF-8 text"
    found = outcome(lambda: "".join(text_chunks(path, size)))
    if "a NUL byte" in found:  # what comes after it is not read
        whole = outcome(lambda: decoded(path, content[: content.index(b"\0") + 1]))
    assert found == whole


def test_nul_bytes_are_rejected_with_their_line(tmp_path):
    path = tmp_path / "text"
    path.write_bytes(b"one\ntw\0o\n")
    with pytest.raises(ValueError, match=re.escape(f"{path}: line 2: a NUL byte at offset 6")):
        read_text([path])


@pytest.mark.parametrize(("most", "reads"), [(5, 1), (4, 3)])
def test_what_is_read_again_is_kept_if_it_is_little(most, reads):
    opened = []

    def chunks():
        opened.append(1)
        yield from ("ab", "cd", "e")

    text = RepeatedChunks(chunks, most)
    assert next(text.read()) == "ab"  # a part of it is not taken for the whole
    opened.clear()
    assert [list(text.read()) for _ in range(3)] == [["ab", "cd", "e"]] * 3
    assert len(opened) == reads
