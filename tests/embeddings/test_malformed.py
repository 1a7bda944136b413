"""Errors of malformed files name the line or byte, the expected and the actual content."""

import bz2
import gzip
import lzma
import os
import pickle
import re
import struct

import pytest

from gatewise.embeddings import load_embedding
from tests.embeddings.writers import binary, word2vec

NAN = float("nan")


def raised_by(tmp_path, content, words=("a", "b")):
    path = tmp_path / "vectors.txt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=re.escape(str(path))) as raised:
        load_embedding(path, list(words))
    text = str(raised.value)
    assert text.startswith(f"{path}: ")
    return text.removeprefix(f"{path}: ")


GOOD = b"a 1 2\n"


@pytest.mark.parametrize("words", [["a", "b"], ["other"]], ids=["wanted", "unwanted"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (GOOD + b"b 1\n", "line 2: expected a word and 2 numbers, got 1 after 'b'"),
        (GOOD + b"b 1 2 3\n", "line 2: expected a word and 2 numbers, got 3 after 'b'"),
        (GOOD + b"b\n", "line 2: expected a word and 2 numbers, got 0 after 'b'"),
        (GOOD + b"b  1\n", "line 2: expected a word and 2 numbers, got 1 after 'b'"),
        (GOOD + b"b 1", "got 1 after 'b'; the file ends within this line: is it cut off?"),
        (GOOD + b"b 1 x\n", "line 2: expected 2 numbers after 'b', got 'x' as number 2"),
        (GOOD + b"b 1 1_0\n", "line 2: expected 2 numbers after 'b', got '1_0' as number 2"),
        (GOOD + "b 1 ٣\n".encode(), "line 2: expected 2 numbers after 'b', got '٣' as number 2"),
        (GOOD + b"b nan 2\n", "line 2: expected finite float32 numbers after 'b', got nan as number 1"),
        (GOOD + b"b 1 -inf\n", "line 2: expected finite float32 numbers after 'b', got -inf as number 2"),
        (GOOD + b"\nb 1 2\n", "line 2: expected a word and 2 numbers, got an empty line"),
        (b"a nan 2\n" + GOOD, "line 1: expected finite float32 numbers after 'a', got nan as number 1"),
        (b"a 1 x 2\n", "line 1: expected a word and 1 numbers, got 3 after 'a'"),
        (b"hello\n", "line 1: expected a word and its numbers, or the number of words and of numbers for each"),
        (b"2 2\n" + GOOD, "line 3: expected the 2 words of line 1, got the end of the file after 1; is it cut off"),
        (b"1 2\n" + GOOD + b"b 3 4\n", "line 3: expected the end after the 1 words of line 1, got 'b'"),
        (b"1 2\n" + GOOD + b"b 3 4\n<unk> 5 6\n", "line 3: expected the end after the 1 words of line 1, got 'b'"),
        (b"2 3\n" + GOOD, "line 2: expected a word and 3 numbers, got 2 after 'a'"),
        (b"1 2\nthe x y z\n", "line 2: expected 2 numbers after 'the x', got 'y' as number 1"),
        (b"1 3\nlong 0.125 x 0.25\n", "line 2: expected 3 numbers after 'long', got 'x' as number 2"),
        (
            b"0 2\n",
            "line 1: expected the number of words, from 1, and of numbers for each, from 1 to 65,536; got '0 2'",
        ),
        (b"5 0\n", "from 1 to 65,536; got '5 0'"),
        (b"5 99999999\n", "from 1 to 65,536; got '5 99999999'"),
        (b"5 1" + b"0" * 5000 + b"\n", "from 1 to 65,536; got '5 1000"),
        (b" \t\n" + GOOD, "line 1: expected a word and its numbers"),
        (GOOD + b"\t\n" + GOOD, "line 2: expected a word and 2 numbers, got an empty line"),
        (b"5 2\n", "line 2: expected the 5 words of line 1, got the end of the file after 0"),
        (b"", "the file is empty; expected words and their numbers"),
        (b"\xef\xbb\xbf\n \n", "the file is empty"),
        (gzip.compress(b"", mtime=0), "the file is empty"),
    ],
)
def test_text(tmp_path, content, message, words):
    assert message in raised_by(tmp_path, content, words)


@pytest.mark.parametrize("number", [b"1e39", b"1.2.3", b"--1"])
def test_numbers_of_wanted_words_are_read_in_full(tmp_path, number):
    message = raised_by(tmp_path, GOOD + b"b 3 " + number + b"\n")
    assert message.startswith("line 2: expected ")
    assert message.endswith("got inf as number 2" if number == b"1e39" else f"got {number.decode()!r} as number 2")


def test_a_line_without_end_is_rejected_early(tmp_path):
    assert "bytes without a line end" in raised_by(tmp_path, GOOD + b"x" * (6 << 20))


FLOATS = struct.pack("<3f", 1, 2, 3)


@pytest.mark.parametrize("words", [["a", "b"], ["other"]], ids=["wanted", "unwanted"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"2 3\na " + FLOATS + b"b " + FLOATS[:7], "byte 18: expected word 2 of 2, got 7 of the 12 bytes after 'b'"),
        (b"2 3\na " + FLOATS + b"\nb " + FLOATS[:7], "byte 19: expected word 2 of 2, got 7 of the 12 bytes after 'b'"),
        (b"2 3\na " + FLOATS + b"b", "byte 18: expected word 2 of 2, got the end of the file; is the file cut off?"),
        (b"2 3\na " + FLOATS, "byte 18: expected word 2 of 2, got the end of the file"),
        (b"1 3\na " + FLOATS + b"\nb " + FLOATS, "byte 18: expected the end after the 1 words of the header"),
        (binary([("a", [1, 2, 3]), ("b", [1, NAN, 3])]), "byte 19: expected finite float32 numbers after 'b', got nan"),
        (b"1 3\na " + FLOATS[:8] + b"\0\0\x80\x7f", "byte 4: expected finite float32 numbers after 'a', got inf"),
        (b"1 3\n" + b"\0" * 200_000, "byte 4: expected word 1 and a space, got 65,536 bytes without one"),
        (b"1 3\n" + b"\0" * 100_000 + b" " + FLOATS, "byte 4: expected word 1 and a space, got 65,536 bytes"),
    ],
)
def test_binary(tmp_path, content, message, words):
    assert message in raised_by(tmp_path, content, words)


@pytest.mark.parametrize(
    ("pack", "name"), [(gzip.compress, "gzip"), (bz2.compress, "bzip2"), (lzma.compress, "xz")], ids=["gz", "bz2", "xz"]
)
def test_packed_data_that_is_cut_off(tmp_path, pack, name):
    packed = pack(word2vec([(os.urandom(8).hex(), [0.25, 0.5])] * 1000))
    message = raised_by(tmp_path, packed[: len(packed) // 2])
    assert message.startswith(f"the {name} data is cut off somewhere after byte ")
    assert message.endswith("of the unpacked content; fetch the file again")


@pytest.mark.parametrize(
    ("pack", "name"), [(gzip.compress, "gzip"), (bz2.compress, "bzip2"), (lzma.compress, "xz")], ids=["gz", "bz2", "xz"]
)
def test_packed_data_that_is_damaged(tmp_path, pack, name):
    packed = bytearray(pack(b"".join(b"%s 0.25 0.5\n" % os.urandom(8).hex().encode() for _ in range(5000))))
    for index in range(len(packed) // 2, len(packed) // 2 + 50):
        packed[index] ^= 0xFF
    assert raised_by(tmp_path, bytes(packed)).startswith(f"the {name} data is damaged (")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PK\x03\x04rest", "this is a zip archive; unpack it"),
        (b"\xba\x16\x4f\x2f\x0c\0\0\0", "this is a fastText model; name the .vec file"),
        (pickle.dumps({"a": [1.0, 2.0]}), "this is a Python pickle"),
        (b"\x93NUMPY\x01\0", "this is a NumPy array"),
        ("a 1 2\n".encode("utf-16"), "this is UTF-16 text; convert it to UTF-8"),
    ],
)
def test_files_of_other_kinds_are_named(tmp_path, content, message):
    assert message in raised_by(tmp_path, content)


def test_a_missing_file_and_a_folder_are_the_systems_errors(tmp_path):
    with pytest.raises(FileNotFoundError, match="missing"):
        load_embedding(tmp_path / "missing", ["a"])
    with pytest.raises(IsADirectoryError):
        load_embedding(tmp_path, ["a"])
