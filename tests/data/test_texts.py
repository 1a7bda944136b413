"""Texts larger than memory: the same parts as of a text in memory, from files, patterns, folders and tables."""

import bz2
import gzip
import itertools
import json
import lzma
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewise.data import text_columns, texts
from gatewise.data.text import sha256
from gatewise.data.texts import Text, open_text


@pytest.fixture(params=[1 << 26, 5], ids=["in memory", "from files"])
def limit(request, monkeypatch):
    monkeypatch.setattr(texts, "IN_MEMORY", request.param)
    return request.param


@given(st.text(alphabet="ab\n", min_size=1), st.floats(0.01, 0.99), st.booleans())
def test_a_split_loses_nothing_and_cuts_no_word(text, held_out, at_line_end):
    training, rest = (part.read() for part in Text.of(text).split(held_out, at_line_end=at_line_end))
    assert training + rest == text
    cut = len(text) - int(held_out * len(text))
    if not at_line_end or "\n" not in text[cut:]:
        assert len(training) == cut
    else:
        assert training.endswith("\n")
        assert "\n" not in text[cut : len(training) - 1]


@given(text=st.text(max_size=40), cuts=st.lists(st.integers(0, 40)), start=st.integers(0, 40), stop=st.integers(0, 40))
def test_a_part_is_a_slice_wherever_the_text_is_cut(text, cuts, start, stop):
    start, stop = sorted(min(position, len(text)) for position in (start, stop))
    positions = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    chunks = [text[begin:end] for begin, end in itertools.pairwise(positions)]
    assert Text(lambda: iter(chunks), start, stop, True).read() == text[start:stop]


@pytest.mark.parametrize("suffix", ["", ".gz", ".xz", ".bz2"])
def test_files_are_joined_and_hashed(tmp_path, limit, suffix):
    compress = {"": bytes, ".gz": gzip.compress, ".xz": lzma.compress, ".bz2": bz2.compress}[suffix]
    paths = [tmp_path / f"{name}.txt{suffix}" for name in "ab"]
    paths[0].write_bytes(compress("one é\n".encode()))
    paths[1].write_bytes(compress("\ufefftwo".encode()))
    text, digest = open_text(paths)
    assert text.in_memory is (limit > 9)
    assert [text.read(), text.read()] == ["one é\ntwo"] * 2
    assert text.characters == 9
    assert digest == sha256("one é\ntwo")
    training, held_out = text.split(0.5, at_line_end=True)
    assert (training.read(), held_out.read()) == ("one é\n", "two")


def test_patterns_and_folders_are_read_in_order_without_hidden_files(tmp_path, limit):
    for name in ("c/b.txt", "c/a.txt", "c/.hidden", "c/.git/x", "c/d/e.txt", "f.txt", "[1].txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{name} ")
    assert open_text([tmp_path / "c"])[0].read() == "c/a.txt c/b.txt c/d/e.txt "
    assert open_text([tmp_path / "c" / "*.txt"])[0].read() == "c/a.txt c/b.txt "
    assert open_text([tmp_path / "c" / "**" / "e*"])[0].read() == "c/d/e.txt "
    assert open_text([tmp_path / "*", tmp_path / "[1].txt"])[0].read().split() == [
        *("[1].txt", "c/a.txt", "c/b.txt", "c/d/e.txt", "f.txt", "[1].txt")
    ]
    assert open_text([tmp_path / "c" / "**"])[0].read() == "c/a.txt c/b.txt c/d/e.txt "
    (tmp_path / "c" / "d" / "circle").symlink_to(tmp_path / "c")
    assert open_text([tmp_path / "c", tmp_path / "c" / "a.txt"])[0].read() == "c/a.txt c/b.txt c/d/e.txt c/a.txt "
    (tmp_path / "empty" / ".hidden").mkdir(parents=True)
    with pytest.raises(ValueError, match=re.escape(f"{tmp_path / 'empty'}: the folder has no files")):
        open_text([tmp_path / "empty"])
    with pytest.raises(ValueError, match=r"\*\.gz: no file matches this pattern"):
        open_text([tmp_path / "c" / "*.gz"])


@pytest.mark.parametrize(
    "change", [lambda path: path.write_text("another text"), lambda path: path.write_text("short")]
)
def test_a_file_that_changes_between_two_readings_is_named(tmp_path, monkeypatch, change):
    monkeypatch.setattr(texts, "IN_MEMORY", 5)
    path = tmp_path / "text"
    path.write_text("a certain text")
    text, _ = open_text([path])
    change(path)
    with pytest.raises(ValueError, match=re.escape(f"{path}: was changed while it was being read; try again")):
        text.read()


def test_a_corrupt_compressed_file_is_named(tmp_path):
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(b"text" * 1000)[:-9])
    with pytest.raises(ValueError, match=re.escape(f"{path}: not a .gz file, or a corrupt one")):
        open_text([path])


ROWS = ["a line", "two\nlines\n", "", "é"]
JOINED = "a line\ntwo\nlines\n\né\n"


def write_table(path, rows=ROWS, column="text", form="stream", kind="string"):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import ipc, parquet

    table = pyarrow.table({"id": range(len(rows)), column: pyarrow.array(rows, kind)})
    if path.suffix == ".parquet":
        parquet.write_table(table, path, row_group_size=2)
    else:
        new = ipc.new_stream if form == "stream" else ipc.new_file
        with path.open("wb") as file, new(file, table.schema) as writer:
            writer.write_table(table, max_chunksize=3)
    return path


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("a.arrow", {}),
        ("a.arrow", {"form": "file"}),
        ("a.parquet", {}),
        ("a.parquet", {"kind": "large_string"}),
    ],
)
def test_the_rows_of_a_table_are_lines(tmp_path, limit, name, more):
    text, digest = open_text([write_table(tmp_path / name, **more)])
    assert text.read() == JOINED
    assert digest == sha256(JOINED)


def test_a_folder_that_save_to_disk_wrote(tmp_path, limit):
    folder = tmp_path / "set" / "train"
    folder.mkdir(parents=True)
    names = ["data-00000-of-00002.arrow", "data-00001-of-00002.arrow"]
    for name in names:
        write_table(folder / name)
    (folder / "dataset_info.json").write_text("{}")
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": name} for name in names]}))
    assert open_text([folder])[0].read() == JOINED * 2
    assert open_text([tmp_path / "set"])[0].read() == JOINED * 2
    (tmp_path / "set" / "dataset_dict.json").write_text('{"splits": ["train"]}')
    with pytest.raises(ValueError, match=re.escape(f"set: a dataset with splits; name one of them: {folder}")):
        open_text([tmp_path / "set"])
    (folder / "state.json").write_text("{}")
    with pytest.raises(ValueError, match="train: not a dataset that save_to_disk wrote, or a corrupt one"):
        open_text([folder])


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"column": "body"}, "expected one column 'text', got 'id', 'body'; rename the one that has the text"),
        ({"rows": [1, 2], "kind": "int64"}, "the column 'text' is of type int64; expected strings"),
        ({"rows": ["a", "b", "c", None]}, "row 4: no text (null) in the column 'text'"),
        ({"rows": ["a\0"]}, "row 1: a NUL character, which text does not have in the column 'text'"),
        ({"rows": []}, "the table is empty; expected rows of text"),
    ],
)
@pytest.mark.parametrize("name", ["a.arrow", "a.parquet"])
def test_a_table_without_text_is_named(tmp_path, name, more, message):
    path = write_table(tmp_path / name, **more)
    with pytest.raises(ValueError, match=re.escape(f"{path}: {message}")):
        open_text([path])


@pytest.mark.parametrize("name", ["a.arrow", "a.parquet"])
@pytest.mark.parametrize("keep", [0, 7, -20])
def test_a_corrupt_table_is_named(tmp_path, name, keep):
    path = write_table(tmp_path / name)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=re.escape(f"{path}: ")):
        open_text([path])


@pytest.mark.parametrize("name", ["a.arrow", "a.parquet"])
def test_large_tables_are_cut_into_parts(tmp_path, monkeypatch, name):
    monkeypatch.setattr(text_columns, "CHUNK", 4)
    monkeypatch.setattr(text_columns, "_ROWS", 2)
    chunks = list(text_columns.column_chunks(write_table(tmp_path / name)))
    assert len(chunks) > 1
    assert "".join(chunks) == JOINED
