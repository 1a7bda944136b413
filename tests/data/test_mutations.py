"""Every reader of data on files that random changes made invalid: read sensibly, or rejected; columns never shift."""

import csv
import gzip
import io
import json

import pyarrow
import pytest
from pyarrow import parquet

from gatewise.data.columns import Columns as TagColumns
from gatewise.data.labelled_texts import labelled_texts
from gatewise.data.numeric_sequences import read_numeric_sequences
from gatewise.data.pairs import read_pairs
from gatewise.data.series_columns import Columns
from gatewise.data.series_reader import read_series
from gatewise.data.series_tables import as_tables
from gatewise.data.text import read_text
from tests.mutations import check_reader

TEXTS = [
    (f'TEXT{index} was, "quoted"' if index % 3 else f"TEXT{index}\nis fine", f"LABEL{index}") for index in range(9)
]
STEPS = [(f"s{index // 3}", index + 0.5, -float(index)) for index in range(9)]
VALUES = [(index, index + 0.25) for index in range(25)]


def as_csv(names, rows):
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerows([names, *rows])
    return buffer.getvalue().encode()


def as_tsv(names, rows):
    return "".join("\t".join(map(str, row)).replace("\n", " ") + "\n" for row in [names, *rows]).encode()


def as_json_lines(names, rows):
    return "".join(json.dumps(dict(zip(names, row, strict=True))) + "\n" for row in rows).encode()


def as_parquet(names, rows):
    buffer = io.BytesIO()
    columns = dict(zip(names, zip(*rows, strict=True), strict=True))
    parquet.write_table(pyarrow.table({name: list(column) for name, column in columns.items()}), buffer)
    return buffer.getvalue()


def gzipped(write):
    return lambda names, rows: gzip.compress(write(names, rows), mtime=0)


TABLES = {
    ".csv": as_csv,
    ".csv.gz": gzipped(as_csv),
    ".tsv": as_tsv,
    ".jsonl": as_json_lines,
    ".parquet": as_parquet,
}


def holds(rows, *marks):
    """What one change may do: two rows are new at most, and no cell has the mark of another column in it."""
    known = {tuple(map(str, row)) for row in rows}

    def check(found):
        others = [row for row in found if tuple(map(str, row)) not in known]
        assert len(others) <= 2, f"{others} are new"
        for row in others:
            for position, cell in enumerate(row):
                strange = [mark for index, mark in enumerate(marks) if index != position and mark in cell]
                assert not strange, f"{row} is shifted"

    return check


def anything(found):
    """A page of Parquet has no checksum by default, and a change of its dictionary changes every row of the value."""


@pytest.mark.parametrize("ending", TABLES)
def test_labelled_texts(tmp_path, ending):
    rows = TEXTS if ending != ".tsv" else [(text.replace("\n", " "), label) for text, label in TEXTS]
    content = TABLES[ending](("text", "label"), rows)
    check = holds(rows, "TEXT", "LABEL") if ending != ".parquet" else anything
    check_reader(tmp_path / f"a{ending}", content, lambda path: list(labelled_texts([path], "text", "label")), check)


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".jsonl"])
def test_pairs(tmp_path, ending):
    rows = [(f"SOURCE{index} is here", f"TARGET{index} is there") for index in range(9)]
    content = TABLES[ending](("source", "target"), rows)
    check_reader(
        tmp_path / f"a{ending}", content, lambda path: list(read_pairs([path])), holds(rows, "SOURCE", "TARGET")
    )


@pytest.mark.parametrize("ending", [".csv", ".jsonl"])
def test_rows_of_numbers(tmp_path, ending):
    def read(path):
        found = read_numeric_sequences([path]).sequences()
        return [tuple(step) for sequence in found for step in sequence.steps.tolist()]

    content = TABLES[ending](("sequence", "u", "v"), STEPS)
    check_reader(tmp_path / f"a{ending}", content, read, holds([row[1:] for row in STEPS]))


def test_sequences_of_numbers(tmp_path):
    content = as_json_lines(("steps", "label"), [([[index, 0.5], [1.5, -index]], f"l{index}") for index in range(9)])
    check_reader(tmp_path / "a.jsonl", content, lambda path: read_numeric_sequences([path]))


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
@pytest.mark.parametrize("stamp", ["2020-01-{:02}", "202001{:02}", "15778368{:02}"])
def test_series(tmp_path, ending, stamp):
    def read(path):
        (one,) = read_series(as_tables(path), Columns()).series
        return [(value,) for value in one.values if value == value]

    rows = [(stamp.format(index + 1), value) for index, value in VALUES]
    content = TABLES[ending](("date", "sales"), rows)
    check = holds([(value,) for _, value in VALUES]) if ending != ".parquet" else anything
    check_reader(tmp_path / f"a{ending}", content, read, check)


@pytest.mark.parametrize("ending", [".conll", ".conllu"])
def test_columns_of_words_and_tags(tmp_path, ending):
    def read(path):
        return [pair for words, tags in TagColumns().tagged_words([path]) for pair in zip(words, tags, strict=True)]

    pairs = [
        (f"WORD{index}", ("O", "B-LOC", "I-LOC")[index % 3] if ending == ".conll" else "NOUN") for index in range(20)
    ]
    rows = [
        f"{word}\tNN\t{tag}" if ending == ".conll" else f"{index % 4 + 1}\t{word}\tl\t{tag}\t_\t_\t0\troot\t_\t_"
        for index, (word, tag) in enumerate(pairs)
    ]
    content = "".join(f"{row}\n" + "\n" * (index % 4 == 3) for index, row in enumerate(rows)).encode()
    check_reader(tmp_path / f"a{ending}", content, read, holds(pairs, "WORD", "LOC"))


def test_text(tmp_path):
    content = "Ein Satz – und noch einer.\r\n\n\tÄ\n".encode() * 4
    check_reader(tmp_path / "a.txt", content, lambda path: read_text([path]))
