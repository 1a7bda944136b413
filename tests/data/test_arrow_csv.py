"""Arrow's reader of CSV and TSV against the strict one: the same cells, or it leaves the table to that one."""

from pathlib import Path

import pytest
from hypothesis import example, given, strategies

from gatewise.data import arrow_csv
from gatewise.data.arrow_csv import arrow_columns
from gatewise.data.delimited import delimited_rows, head_of
from gatewise.data.table_format import PLAIN, TableFormat
from gatewise.data.table_text import TableText
from gatewise.data.utf8_stream import UnusualTableError

WHERE = Path("table")


def in_parts(text, size):
    return TableText(WHERE, lambda: (text[index : index + size] for index in range(0, len(text), size)))


def by_arrow(table, kind=".csv", format=PLAIN):
    head = head_of(table, kind, format)
    if head is None:
        return []
    batches = arrow_columns(table, kind, format, len(head.cells), head.line - 1, range(len(head.cells)))
    return [list(row) for batch in batches for row in zip(*(cells.to_pylist() for cells in batch), strict=True)]


def strictly(table, kind=".csv", format=PLAIN):
    return [row for _, row in delimited_rows(table, kind, format)]


@given(
    strategies.text("a1 ,\t;\"\r\n'é", max_size=30),
    strategies.sampled_from([".csv", ".tsv"]),
    strategies.sampled_from([None, ";", " "]),
    strategies.integers(1, 31),
)
@example('"a" b,c\n', ".csv", None, 3)
@example('a,b\nc,"d\n', ".csv", None, 2)
@example('a,b\n"c","d', ".csv", None, 1)
@example('a,b\n"c""","d"', ".csv", None, 1)
@example('"a",""\n"b\n""",c', ".csv", None, 4)
@example('a\tb\n"\t"\n', ".tsv", None, 9)
@example("1\n\t\n", ".tsv", None, 9)
@example("a\tb\n\t\t\n", ".tsv", None, 9)
def test_arrow_reads_the_same_cells_or_leaves_the_table(text, kind, separator, size):
    table, format = in_parts(text, size), TableFormat(separator)
    try:
        found = by_arrow(table, kind, format)
    except (UnusualTableError, ValueError):  # of the first line
        return
    assert found == strictly(table, kind, format)


@given(
    strategies.lists(strategies.lists(strategies.text('a1 ,"\n', min_size=1), min_size=3, max_size=3), min_size=1),
    strategies.integers(1, 40),
)
def test_tables_that_are_quoted_as_usual_are_read_by_arrow(rows, size):
    text = "".join(",".join('"' + cell.replace('"', '""') + '"' for cell in row) + "\r\n" for row in rows)
    assert by_arrow(in_parts(text, size)) == rows


@pytest.mark.parametrize(
    "text",
    ['"a" b,c\n', 'a,"b\n', 'a,"b', 'a"b,c\n', "1,2,3\n", '"c" ,d\n', '"c""d,e\n'],
)
def test_what_is_unusual_is_left_to_the_strict_reader(text):
    for size in range(1, len(text) + 5):
        with pytest.raises(UnusualTableError):
            by_arrow(in_parts(f"x,y\n{text}", size))


def test_fields_longer_than_a_block_are_left_to_the_strict_reader(monkeypatch):
    monkeypatch.setattr(arrow_csv, "_BLOCK", 64)
    assert by_arrow(in_parts("a,b\n" + "1,2\n" * 100, 7)) == [["a", "b"], *[["1", "2"]] * 100]
    with pytest.raises(UnusualTableError):
        by_arrow(in_parts("a,b\n" + "1" * 500 + ",2\n", 7))


def test_comments_and_separators_beyond_ascii_are_left_to_the_strict_reader():
    for format in (TableFormat(comments="#"), TableFormat("¦")):
        with pytest.raises(UnusualTableError):
            by_arrow(in_parts("a¦b\n", 9), format=format)


def test_errors_of_the_text_pass_through():
    def chunks():
        yield "a,b\n"
        yield "c,d\n"
        raise ValueError("table: line 3: not UTF-8")

    with pytest.raises(ValueError, match=r"^table: line 3: not UTF-8$"):
        by_arrow(TableText(WHERE, chunks))
