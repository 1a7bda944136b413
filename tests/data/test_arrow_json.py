"""Arrow's reader of JSON lines against the strict one: the same values, or it leaves the table to that one."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given, strategies

from gatewise.data.arrow_json import arrow_members
from gatewise.data.json_lines import json_objects
from gatewise.data.table_text import TableText
from gatewise.data.tables import read_columns
from gatewise.data.utf8_stream import UnusualTableError

WHERE = Path("table")


def by_arrow(text, size, *, blanks=True):
    table = TableText(WHERE, lambda: (text[index : index + size] for index in range(0, len(text), size)))
    batches = arrow_members(table, ("a", "n"), ("n",), blanks=blanks)
    return [row for batch in batches for row in zip(*(cells.to_pylist() for cells in batch), strict=True)]


@given(
    strategies.lists(
        strategies.fixed_dictionaries(
            {"a": strategies.text(strategies.characters(codec="utf-8", exclude_characters="\0"))},
            optional={"n": strategies.floats(allow_nan=False, allow_infinity=False), "x": strategies.integers()},
        ),
        min_size=1,
    ),
    strategies.booleans(),
    strategies.integers(1, 40),
)
def test_objects_are_read_by_arrow(rows, ascii, size):
    text = "\n".join(json.dumps(row, ensure_ascii=ascii) for row in rows)
    assert by_arrow(text, size) == [(row["a"], row.get("n")) for row in rows]
    assert by_arrow(text.replace("\n", "\r\n") + "\r\n", size) == by_arrow(text + "\n", size)


@given(strategies.text('{}[]":,an1. \n\r\\', max_size=40), strategies.integers(1, 40))
@example('{"a":"1"}{"a":"2"}\n', 5)
@example('{"a":\n"1"}\n', 4)
@example('{"a":"1"}{"a":"2"}\n{"a":\n"3"}', 4)
@example('{"a":{}}\n{"a":"1","a":"2"}', 3)
def test_anything_is_read_equally_or_left(text, size):
    try:
        found = by_arrow(text, size)
    except UnusualTableError:
        return
    assert found == [(row.get("a"), row.get("n")) for _, row in json_objects(WHERE, text)]


@pytest.mark.parametrize(
    "text",
    [
        "",
        '{"a": "1"}\n\n{"a": "2"}\n',
        '{"a": 1}\n',
        '{"a": "1"}{"a": "2"}\n',
        '{"a":\n"1"}\n',
        '{"a": "1", "a": "2"}\n',
        '{"a": "\\ud83d"}\n',
        '{"a": "1\\u0000"}\n',
        '{"a": "1", "n": "1"}\n',
        '{"a": "1", "n": true}\n',
        '{"a": "1", "n": 1e999}\n',
        "[1]\n",
    ],
)
def test_what_is_unusual_is_left_to_the_strict_reader(text):
    for size in range(1, len(text) + 2):
        with pytest.raises(UnusualTableError):
            by_arrow(text, size)


def test_a_missing_value_is_left_where_none_may_be():
    text = '{"a": "1", "n": 1}\n{"a": "2"}\n'
    assert by_arrow(text, 9) == [("1", 1.0), ("2", None)]
    with pytest.raises(UnusualTableError):
        by_arrow(text, 9, blanks=False)


def test_deep_nesting_does_not_end_the_process(tmp_path):
    depth = 100_000
    path = tmp_path / "a.jsonl"
    path.write_text('{"a": "1", "x": ' + "[" * depth + "]" * depth + "}\n")
    program = f"import pathlib, gatewise.data.tables as tables; tables.read_columns(pathlib.Path({str(path)!r}), ['a'])"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "nested too deeply" in ended.stderr
    with pytest.raises(ValueError, match="line 1: nested too deeply"):
        read_columns(path, ["a"])
