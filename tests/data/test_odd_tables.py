"""Odd tables in every form: each oddity is read as what it means, or rejected with its location.

One row for each oddity and form: the content of the file (or a table in memory), and the rows that are read of the
columns `text` and `label` or the message.
"""

import datetime
import json
import re
from decimal import Decimal

import numpy as np
import pandas
import polars
import pyarrow
import pytest
from pyarrow import feather, parquet

from gatewise.data.in_memory import as_files
from gatewise.data.series_columns import Columns
from gatewise.data.series_reader import read_series
from gatewise.data.series_tables import as_tables
from gatewise.data.table_format import PLAIN, TableFormat
from gatewise.data.tables import column_names, read_columns, table_rows

ROWS = [("one", "x"), ("two", "y")]
NO_ROWS = "there are no rows in it"
DEEP = "[" * 100_000


def table(**columns):
    """A table of Arrow's; it is written to Parquet, to Feather and to a stream, and given as it is."""
    return pyarrow.table(columns)


TEXTS = {
    # Rows with too few or too many fields.
    "ragged": [
        (".csv", "text,label\na,b\n\nc\n", "line 4: expected 2 fields, as in line 1, got 1"),
        (
            ".csv",
            "text,label\nthis is awful, bad,neg\n",
            "line 2: expected 2 fields, as in line 1, got 3; a field with",
        ),
        (".csv", "text,label\na,b,\n", "line 2: expected 2 fields, as in line 1, got 3"),
        (".tsv", "text\tlabel\na\tb\nc\td\te\n", "line 3: expected 2 fields, as in line 1, got 3; a field cannot have"),
        (".tsv", 'text\tlabel\n"a\nb"\tc\n', "line 2: expected 2 fields, as in line 1, got 1; a field of TSV cannot"),
        (".jsonl", '{"text": "a", "label": "b"}\n{"text": "c"}\n', "line 2: no 'label'; the object has 'text'"),
        ("rows", [{"text": "a", "label": "b"}, {"text": "c"}], "row 2: 'label' is null; expected a value"),
        ("rows", {"text": ["a", "b"], "label": ["c"]}, "length"),
    ],
    "quotes": [
        (".csv", 'text,label\n"say ""yes""",x\n', [('say "yes"', "x")]),
        (".csv", 'text,label\n5" of rain,x\n', [('5" of rain', "x")]),
        (".csv", "text,label\n'a',x\n", [("'a'", "x")]),
        (".csv", 'text,label\n"",""\n', [("", "")]),
        (".csv", 'text,label\n"a" b,c\n', "line 2: not CSV: ',' expected after '\"'; a quote that opens a field must"),
        (".csv", 'text,label\n"a" ,c\n', "line 2: not CSV: "),
        (".tsv", 'text\tlabel\n"a\t"b" c\n', [('"a', '"b" c')]),
        (".jsonl", '{"text": "say \\"yes\\"", "label": "x"}\n', [('say "yes"', "x")]),
    ],
    "unclosed quote": [
        (".csv", 'text,label\na,b\n"c,d\ne,f\ng,h\n', "line 3: not CSV: unexpected end of data; a quote that opens"),
        (".csv", 'text,label\na,b\nc,"d', "line 3: not CSV: unexpected end of data"),
        (".csv", 'text,label\n"c,d\ne,f\n"g,h"\n', "line 2: not CSV: "),
        (
            ".csv",
            'text,label\n"c,d\ne,f\ng",h,i\n',
            "line 2: expected 2 fields, as in line 1, got 3; the row ends on",
        ),
        (
            ".csv",
            "text,label\n" + "a,b\n" * 30_000 + '"c,d\n' + "e,f\n" * 30_000,
            "line 30002: not CSV: unexpected end",
        ),
        (".jsonl", '{"text": "a", "label": "b"}\n{"text": "c\n', "line 2: not JSON: "),
    ],
    "line breaks in fields": [
        (".csv", 'text,label\n"a\nb",x\n"c\r\nd",y\n', [("a\nb", "x"), ("c\r\nd", "y")]),
        (".csv", "text,label\r\na,x\r\nb,y\r\n", [("a", "x"), ("b", "y")]),
        (".csv", "text,label\ra,x\rb,y", [("a", "x"), ("b", "y")]),
        (".csv", "text,label\na\u2028b,x\u0085\n", [("a\u2028b", "x\u0085")]),
        (
            ".jsonl",
            '{"text": "a\\nb", "label": "x"}\r\n{"text": "\u2028", "label": "y"}',
            [("a\nb", "x"), ("\u2028", "y")],
        ),
        ("table", table(text=["a\nb"], label=["x"]), [("a\nb", "x")]),
    ],
    "names with line breaks": [
        (".csv", '"a\nb",text,label\n1,one,x\n2,two,y\n', ROWS),
        (".csv", '"a\nb",label\n1,x\n', "no column 'text'; its first line names 'a\\nb', 'label'"),
        (".jsonl", '{"a\\nb": 1, "text": "one", "label": "x"}\n', ROWS[:1]),
        ("table", pyarrow.table([["a"], ["one"], ["x"]], ["a\nb", "text", "label"]), ROWS[:1]),
    ],
    "duplicate names": [
        (".csv", "text,text,label\na,b,c\n", "columns 1 and 2 are both named 'text'; rename one of them"),
        (".csv", "a,a,text,label\n1,2,one,x\n", ROWS[:1]),
        (".tsv", "text\tlabel\tlabel\na\tb\tc\n", "columns 2 and 3 are both named 'label'; rename one of them"),
        (".jsonl", '{"text": "a", "text": "b", "label": "c"}', "line 1: the object has 'text' twice"),
        (
            "file",
            pyarrow.table([["a"], ["b"], ["c"]], ["text", "text", "label"]),
            "columns 1 and 2 are both named 'text'",
        ),
        ("memory", pyarrow.table([["a"], ["b"], ["c"]], ["text", "text", "label"]), "two columns are named 'text'"),
        (
            "rows",
            pandas.DataFrame([["a", "b", "c"]], columns=["text", "text", "label"]),
            "two columns are named 'text'",
        ),
    ],
    "no such column": [
        (".csv", "words,label\na,b\n", "no column 'text'; its first line names 'words', 'label'"),
        (".csv", "text;label\na;b\n", "no column 'text'; its first line names 'text;label' (separated by ';'?"),
        (".jsonl", '{"words": "a", "label": "b"}', "line 1: no 'text'; the object has 'words', 'label'"),
        ("table", table(words=["a"], label=["b"]), "no column 'text'; its first line names 'words', 'label'"),
    ],
    "byte order mark": [
        (".csv", "\ufefftext,label\none,x\ntwo,y\n", ROWS),
        (".tsv", "\ufefftext\tlabel\none\tx\ntwo\ty\n", ROWS),
        (".jsonl", '\ufeff{"text": "one", "label": "x"}\n', ROWS[:1]),
    ],
    "other encodings": [
        (
            ".csv",
            "text,label\none,x\n".encode("utf-16"),
            "line 1: not UTF-8: byte 0xff at offset 0; convert the file to",
        ),
        (".csv", "text,label\none,x\n".encode("utf-16-le"), "line 1: a NUL byte at offset 1, which text does not have"),
        (".csv", "text,label\nok,x\né,y\n".encode("latin-1"), "line 3: not UTF-8: byte 0xe9 at offset 16; convert the"),
        (".jsonl", '{"text": "é", "label": "x"}'.encode("latin-1"), "line 1: not UTF-8: byte 0xe9 at offset 10"),
        (".csv utf-16", "text,label\none,x\ntwo,y\n".encode("utf-16"), ROWS),
        (".csv cp1252", "text,label\n“é”,x\n".encode("cp1252"), [("“é”", "x")]),
        (".jsonl utf-16", '{"text": "é", "label": "x"}\n'.encode("utf-16"), [("é", "x")]),
        (".csv ascii", "text,label\na,x\né,y\n", "line 3: not ascii: 'ascii' codec can't decode byte 0xc3"),
        (".csv utf-16", "text,label\nxy".encode("utf-16")[:-1], "line 2: not utf-16: 'utf-16"),
    ],
    "NUL": [
        (".csv", "text,label\na\0,b\n", "line 2: a NUL byte at offset 12"),
        (".jsonl", '{"text": "a\\u0000", "label": "b"}', "line 1: 'text' contains a NUL character (U+0000)"),
        ("table", table(text=["a", "b\0"], label=["x", "y"]), "row 2: 'text' contains a NUL character (U+0000)"),
        (".csv latin-1", "text,label\na\0,b\n", "line 2: a NUL character, which text does not have"),
    ],
    "words that others take for missing": [
        (".csv", "text,label\n007,NA\nnull,nan\nNone,\n", [("007", "NA"), ("null", "nan"), ("None", "")]),
        (".tsv", "text\tlabel\n007\tNA\nN/A\t1e5\n", [("007", "NA"), ("N/A", "1e5")]),
        (".jsonl", '{"text": "NA", "label": "007"}\n', [("NA", "007")]),
        ("table", table(text=["NA", "null"], label=["007", "nan"]), [("NA", "007"), ("null", "nan")]),
    ],
    "null": [
        (".jsonl", '{"text": null, "label": "b"}', "line 1: 'text' is null; expected a value"),
        (
            ".jsonl",
            '{"text": "a", "label": "b"}\n{"text": "a", "label": NaN}',
            "line 2: 'label' is null; expected a value",
        ),
        ("table", table(text=["a", None], label=["x", "y"]), "row 2: 'text' is null; expected a value"),
        (
            "rows",
            pandas.DataFrame({"text": ["a", None], "label": ["x", "y"]}),
            "row 2: 'text' is null; expected a value",
        ),
    ],
    "numbers, dates and truth as labels": [
        (".csv", "text,label\na,1.0\nb,01\n", [("a", "1.0"), ("b", "01")]),
        (".jsonl", '{"text": "a", "label": 1}\n{"text": "b", "label": true}\n', [("a", "1"), ("b", "true")]),
        ("table", table(text=["a"], label=[7]), [("a", "7")]),
        ("table", table(text=["a"], label=[Decimal("1.50")]), [("a", "1.50")]),
        ("table", table(text=["a"], label=[datetime.date(2020, 1, 31)]), [("a", "2020-01-31")]),
        ("table", table(text=["a"], label=pyarrow.array(["x"]).dictionary_encode()), [("a", "x")]),
    ],
    "texts that are none": [
        (".jsonl", '{"text": "a", "label": "x"}\n{"text": 3, "label": 1}\n', "line 2: 'text': expected text, got 3"),
        ("table", table(text=[3], label=["x"]), "row 1: 'text': expected text, got 3"),
        ("table", table(text=[b"a"], label=["x"]), "row 1: 'text': expected text, got b'a'"),
        (".jsonl", '{"text": "a", "label": ["b"]}', "line 1: 'label': expected text, a number or a date, got ['b']"),
        ("table", table(text=["a"], label=[["b"]]), "row 1: 'label': expected text, a number or a date, got ['b']"),
    ],
    "mixed types": [
        (".jsonl", '{"text": "a", "label": 1}\n{"text": "b", "label": "x"}\n', [("a", "1"), ("b", "x")]),
        (
            "rows",
            [{"text": "a", "label": 1}, {"text": "b", "label": "x"}],
            "row 2: 'label': expected int, as before, got",
        ),
        ("rows", pandas.DataFrame({"text": ["a", "b"], "label": [1, "x"]}), "expected values of one type in a column"),
    ],
    "empty": [
        (".csv", "", NO_ROWS),
        (".csv", "\n\n", NO_ROWS),
        (".csv", "text,label\n", NO_ROWS),
        (".tsv", "text\tlabel\n\n", NO_ROWS),
        (".jsonl", "", NO_ROWS),
        (".jsonl", "\n", NO_ROWS),
        ("table", table(text=pyarrow.array([], "string"), label=pyarrow.array([], "string")), NO_ROWS),
        ("rows", polars.DataFrame({"text": [], "label": []}), NO_ROWS),
    ],
    "blank lines": [
        (".csv", "\n  \ntext,label\n\none,x\n   \ntwo,y\n\n", ROWS),
        (".tsv", "text\tlabel\n\none\tx\n \ntwo\ty\n", ROWS),
        (".jsonl", '\n{"text": "one", "label": "x"}\n  \n{"text": "two", "label": "y"}\n\n', ROWS),
    ],
    "surrogates": [
        (
            ".jsonl",
            '{"text": "\\ud83d", "label": "b"}',
            "line 1: 'text': character 1 is half of a surrogate pair (U+D83D)",
        ),
        (".jsonl", '{"text": "\\ud83d\\ude00", "label": "b"}', [("😀", "b")]),
        (
            "rows",
            [{"text": "\ud83d", "label": "x"}],
            "character 1 is half of a surrogate pair (U+D83D); was a text cut",
        ),
        ("rows", {"text": ["\ud83d"], "label": ["x"]}, "character 1 is half of a surrogate pair (U+D83D)"),
    ],
    "not JSON": [
        (".jsonl", '{"text": "a", "label": "b"}\n{', "line 2: not JSON: "),
        (
            ".jsonl",
            '{"text": "a", "label": "b"}{"text": "c", "label": "d"}',
            "line 1: not JSON: Extra data at character",
        ),
        (".jsonl", '{"text": "a",\n"label": "b"}', "line 1: not JSON: "),
        (".jsonl", "[1]", "line 1: expected a JSON object, got list"),
        (".jsonl", DEEP, "line 1: nested too deeply; expected a JSON object of values"),
        (".jsonl", f'{{"text": "a", "label": "b", "x": {DEEP}', "line 1: nested too deeply"),
        (".jsonl", f'{{"text": "a", "label": 1{"0" * 5000}}}', "line 1: Exceeds the limit"),
    ],
    "not a table": [
        (".txt", "x", "expected a name ending in .csv, .tsv, .jsonl, .parquet, .arrow, .feather, got 'a.txt'"),
        (".parquet", b"PAR1 not", "not Parquet, or a corrupt file"),
        (".feather", b"ARROW1", "not Feather, or a corrupt file"),
        (".arrow", b"text", "not Arrow, or a corrupt file"),
    ],
    "comments": [
        (".csv #", '# "made\ntext,label\n#,of,it\none,x\n"two\n# 3",y\n', [("one", "x"), ("two\n# 3", "y")]),
        (
            ".csv",
            "# made\ntext,label\none,x\n",
            "no column 'text'; its first line names '# made'; if it is a comment, give",
        ),
    ],
}

NUMBERS = {
    "numbers as text": [
        (".csv", 'time,v\n1,"1.5"\n2, 2 \n3,+3\n4,4e0\n', [1.5, 2, 3, 4]),
        (".jsonl", '{"time": 1, "v": "1.5"}\n{"time": 2, "v": 2}\n', [1.5, 2]),
        ("table", table(time=[1, 2], v=["1.5", "2"]), [1.5, 2]),
        ("rows", pandas.DataFrame({"time": [1, 2], "v": ["1.5", "2"]}), [1.5, 2]),
    ],
    "numbers of every type": [
        ("table", table(time=[1, 2], v=pyarrow.array([2**53 + 1, -3])), [float(2**53), -3]),
        ("table", table(time=[1, 2], v=pyarrow.array([0.1, 2.5], "float32")), [float(np.float32(0.1)), 2.5]),
        ("table", table(time=[1, 2], v=pyarrow.array(np.array([0.5, 2], "f2"))), [0.5, 2]),
        ("table", table(time=[1, 2], v=[Decimal("0.1"), Decimal("7.25")]), [0.1, 7.25]),
        ("table", table(time=[1, 2], v=pyarrow.array([1, 255], "uint8")), [1, 255]),
        ("table", table(time=[1, 2], v=[True, False]), [1, 0]),
        (".csv", "time,v\n1,True\n2,false\n3,0.1\n", [1, 0, 0.1]),
        (".jsonl", '{"time": 1, "v": true}\n{"time": 2, "v": 0.1}\n', [1, 0.1]),
    ],
    "missing numbers": [
        (".csv", "time,v\n1,1\n2,\n3,NA\n4,nan\n5,NULL\n6,n/a\n7,-\n8,nAn\n9,4\n", [1, *[None] * 7, 4]),
        (
            ".jsonl",
            '{"time": 1, "v": 1}\n{"time": 2, "v": null}\n{"time": 3}\n{"time": 4, "v": NaN}\n{"time": 5, "v": 2}',
            [1, None, None, None, 2],
        ),
        ("table", table(time=[1, 2, 3], v=[1.0, None, 2.0]), [1, None, 2]),
        ("rows", pandas.DataFrame({"time": [1, 2, 3], "v": [1.0, np.nan, 2.0]}), [1, None, 2]),
    ],
    "not numbers": [
        (".csv", "time,v\n1,1\n2,x\n", "line 3: column 'v': expected a number, got 'x'; name what is to be forecast"),
        (".csv", "time,v\n1,1_0\n2,1\n", "line 2: column 'v': expected a number, got '1_0'"),
        (".csv", "time,v\n1,0x10\n2,1\n", "line 2: column 'v': expected a number, got '0x10'"),
        (".csv", "time,v\n1,nan(1)\n2,1\n", "line 2: column 'v': expected a number, got 'nan(1)'"),
        (
            ".csv",
            'time,v\n1,"2,5"\n2,1\n',
            "line 2: column 'v': expected a number, got '2,5'; write decimals with a point",
        ),
        (".csv", '"time",v\n"1\n",1\n2,x\n', "line 4: column 'v': expected a number, got 'x'"),
        (".csv", "time,v\n1,inf\n2,1\n", "line 2: column 'v': expected a finite number, got inf"),
        (".csv", "time,v\n1,1e400\n2,1\n", "line 2: column 'v': expected a finite number, got inf"),
        (
            ".jsonl",
            '{"time": 1, "v": 1}\n\n{"time": 2, "v": 1e999}\n',
            "line 3: column 'v': expected a finite number, got inf",
        ),
        (".jsonl", '{"time": 1, "v": [1]}\n', "line 1: 'v': expected text, a number or a date, got [1]"),
        ("table", table(time=[1, 2], v=[1.0, float("-inf")]), "row 2: column 'v': expected a finite number, got -inf"),
        (
            "rows",
            pandas.DataFrame({"time": [1, 2], "v": [1.0, 1e300]}),
            "row 2: column 'v': expected a number of at most 1e",
        ),
    ],
    "decimal commas": [
        (".csv ;,", "time;v\n1;1,5\n2;-2e-3\n3;NA\n4;4\n", [1.5, -0.002, None, 4]),
        (
            ".csv ;,",
            "time;v\n1;1.5\n2;2\n",
            "line 2: column 'v': expected a number, got '1.5'; the decimal mark is a comma",
        ),
    ],
    "an index without a name": [
        (".csv", ",time,v\n0,1,5\n1,2,6\n", [5, 6]),
        ("rows", pandas.DataFrame({"time": [1, 2], "v": [5.0, 6.0]}, index=[7, 3]), [5, 6]),
        (".csv", ",time,v\n0.5,1,5\n1,2,6\n", "column 1 has no name; expected a name for every column of data"),
        (
            ".jsonl",
            '{"": 0.5, "time": 1, "v": 5}\n{"": 1, "time": 2, "v": 6}\n',
            "column 1 has no name; expected a name",
        ),
    ],
}

FORMATS = {
    "": PLAIN,
    "#": TableFormat(comments="#"),
    ";,": TableFormat(";", ","),
    **{name: TableFormat(encoding=name) for name in ("utf-16", "cp1252", "latin-1", "ascii")},
}


# What is written of a table of Arrow's.
FORMS = {
    "table": (".parquet", ".feather", ".arrow", "memory"),
    "file": (".parquet", ".arrow"),
    "rows": ("memory",),
}


def cases(oddities):
    return [
        pytest.param(each, content, expected, id=f"{name}-{each}-{number}")
        for name, forms in oddities.items()
        for number, (form, content, expected) in enumerate(forms)
        for each in FORMS.get(form, (form,))
    ]


def written(folder, form, content):
    """The file that has some content, and how it is written."""
    suffix, _, format = form.partition(" ")
    path = folder / f"a{suffix}"
    if isinstance(content, pyarrow.Table):
        if suffix == ".parquet":
            parquet.write_table(content, path)
        elif suffix == ".feather":
            feather.write_feather(content, path)
        else:
            with pyarrow.ipc.new_stream(path, content.schema) as writer:
                writer.write_table(content)
    else:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path, FORMATS[format]


def check(read, where, expected):
    if isinstance(expected, str):
        with pytest.raises(ValueError, match=re.escape(expected)) as error:
            read()
        assert str(error.value).startswith(where)
        assert "\n" not in str(error.value)
    else:
        assert read() == expected


@pytest.mark.parametrize(("form", "content", "expected"), cases(TEXTS))
@pytest.mark.parametrize("read", [read_columns, table_rows])
def test_texts_and_labels(tmp_path, read, form, content, expected):
    def rows_of(path, format=PLAIN):
        rows = read(path, ("text", "label"), texts=("text",), format=format)
        return [row for _, row in rows] if read is table_rows else list(rows)

    def in_memory():
        with as_files(content) as (path,):
            return rows_of(path)

    if form == "memory":
        check(in_memory, "data: ", expected)
    else:
        path, format = written(tmp_path, form, content)
        check(lambda: rows_of(path, format), f"{path}: ", expected)


@pytest.mark.parametrize(("form", "content", "expected"), cases(NUMBERS))
def test_series(tmp_path, form, content, expected):
    def values_of(data, format=PLAIN):
        (one,) = read_series(as_tables(data, format), Columns()).series
        return [None if np.isnan(value) else value for value in one.values]

    if form == "memory":
        check(lambda: values_of(content), "the data", expected)
    else:
        path, format = written(tmp_path, form, content)
        check(lambda: values_of(path, format), f"{path}: ", expected)


def test_names_and_rows_come_from_one_reader(tmp_path):
    path, _ = written(tmp_path, ".csv", '"the\ntext",label\na,b\n')
    assert column_names(path) == ["the\ntext", "label"]
    assert list(read_columns(path, ("the\ntext",))) == [("a",)]
    assert list(read_columns(path, (0, 1))) == [("a", "b")]


def test_rows_know_their_lines(tmp_path):
    path, _ = written(tmp_path, ".csv", 'text,label\n\n"a\nb",c\n   \nd,e\n')
    rows = read_columns(path, ("text", "label"))
    assert [rows.locations.location(row) for row in range(2)] == ["line 3", "line 6"]
    path, _ = written(
        tmp_path, ".jsonl", "\n".join(json.dumps({"text": "a"}) + "\n" * (position % 3) for position in range(5))
    )
    rows = read_columns(path, ("text",))
    assert [rows.locations.location(row) for row in range(5)] == ["line 1", "line 2", "line 4", "line 7", "line 8"]


def test_a_table_that_changes_while_it_is_read_is_named(tmp_path):
    path, _ = written(tmp_path, ".csv", "text,label\na,b\nc,d\n")
    rows = read_columns(path, ("text",))
    path.write_text("text,label\n")
    with pytest.raises(ValueError, match=r"a\.csv: was changed while it was being read"):
        rows.full_location(1)
