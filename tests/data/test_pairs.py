"""Pairs from tables and parallel files."""

import gzip
import json
import lzma
import re

import pytest

from gatewise.data import pairs


def read_pairs(*arguments, **options):
    return list(pairs.read_pairs(*arguments, **options))


def test_a_table_without_names(tmp_path):
    (tmp_path / "a.tsv").write_text('ein "Hund\ta dog\tmore\nzwei\ttwo\tmore\n')
    assert read_pairs([tmp_path / "a.tsv"]) == [('ein "Hund', "a dog"), ("zwei", "two")]
    assert read_pairs([tmp_path / "a.tsv"], "2", "1") == [("a dog", 'ein "Hund'), ("two", "zwei")]
    assert read_pairs([tmp_path / "a.tsv"], None, "3") == [('ein "Hund', "more"), ("zwei", "more")]


def test_names_that_say_what_they_are(tmp_path):
    (tmp_path / "a.csv").write_text("id,target,source\n1,a dog,ein Hund\n")
    (tmp_path / "b.jsonl").write_text(json.dumps({"source": "zwei", "target": "two"}) + "\n")
    assert read_pairs([tmp_path / "a.csv", tmp_path / "b.jsonl"]) == [("ein Hund", "a dog"), ("zwei", "two")]
    (tmp_path / "c.csv").write_text("de,en\nein Hund,a dog\n")
    assert read_pairs([tmp_path / "c.csv"], "de", "en") == [("ein Hund", "a dog")]


def test_parallel_files_packed_or_not(tmp_path):
    (tmp_path / "a.de.gz").write_bytes(gzip.compress("eins\nzwei\u2028drei\r\n".encode()))
    (tmp_path / "a.en.xz").write_bytes(lzma.compress(b"one\ntwo"))
    assert read_pairs([tmp_path / "a.de.gz", tmp_path / "a.en.xz"]) == [("eins", "one"), ("zwei\u2028drei", "two")]


def test_pairs_with_an_empty_side_are_skipped_with_notice(tmp_path):
    (tmp_path / "a").write_text("eins\n\nzwei\n")
    (tmp_path / "b").write_text("one\nnothing\n \n")
    notices = []
    assert read_pairs([tmp_path / "a", tmp_path / "b"], notice=notices.append) == [("eins", "one")]
    (line,) = notices
    assert line.endswith("2 of 3 pairs have an empty side and are skipped")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a": "1\n2\n", "b": "1\n"}, "a has 2 lines and "),
        ({"a": "1\n"}, "or two text files whose lines belong together"),
        ({"a": "1\n", "b": "1\n", "c": "1\n"}, "the sources first; got"),
        ({"a": "\n", "b": "\n"}, "there are no pairs in it"),
        ({"a": "", "b": ""}, "there are no pairs in it"),
        ({"a.tsv": "one\n"}, "line 1: expected at least 2 columns, got 1"),
        ({"a.jsonl": '{"source": "x"}\n'}, "line 1: no 'target'; the object has 'source'"),
        ({"a.tsv": "a\tb\n", "b": "x\n"}, "b: expected a name ending in .csv, .tsv, .jsonl, .parquet"),
        ({"a": b"\xff\n", "b": "x\n"}, "a: line 1: not UTF-8: byte 0xff at offset 0"),
    ],
)
def test_what_is_no_pair(tmp_path, files, message):
    for name, content in files.items():
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=re.escape(message)):
        read_pairs([tmp_path / name for name in files])


@pytest.mark.parametrize(
    ("text", "rejected"),
    [
        ("de,en\nein Hund,a dog\n", True),
        ("article,highlights\nein Hund,a dog\nzwei,two\n" + "ein Hund,a dog\n" * 9, True),
        ("de,en\nHund,dog\nKatze,cat\n", True),  # a dictionary
        ("Hund,dog\nKatze,cat\n", False),
        ("ein Hund,a dog\nKatze,cat\n", False),
        ("two hundred,200\nthree,3\n", False),
        ("Go.,Geh.\nein Hund,a dog\n", False),
    ],
)
def test_names_of_columns_are_not_taken_for_a_pair(tmp_path, text, rejected):
    path = tmp_path / "a.csv"
    path.write_text(text)
    if not rejected:
        assert len(read_pairs([path])) == text.count("\n")
        return
    with pytest.raises(
        ValueError, match=r"a.csv: line 1: '\w+' and '\w+' look like names of columns; give --source-co"
    ):
        read_pairs([path])
    # Both ways out of it.
    source, target = text.split("\n")[0].split(",")
    assert len(read_pairs([path], source, target)) == text.count("\n") - 1
    assert len(read_pairs([path], "1", "2")) == text.count("\n")
