"""Short texts of tables and few numbers, which Python reads: as Arrow reads longer ones."""

from pathlib import Path

import numpy as np
import pyarrow
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewise.data import table_columns, tables
from gatewise.data.table_columns import numbers_in
from gatewise.data.tables import columns_of_text

ODD = [
    "1",
    "-2.5",
    "1e3",
    "",
    "NA",
    "nan",
    "NaN",
    "nan(1)",
    "inf",
    "many",
    " 7",
    "1,5",
    "1.000,5",
    "0x10",
    "1_000",
    "٣",
    "null",
    "+4",
]


@given(st.lists(st.sampled_from(ODD), max_size=7), st.sampled_from(".,"))
def test_few_numbers_are_read_as_many_are(cells, decimal):
    array = pyarrow.array(cells, pyarrow.string())
    few, of_few = numbers_in(array, decimal)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(table_columns, "_FEW", 0)
        many, of_many = numbers_in(array, decimal)
    assert np.array_equal(few, many, equal_nan=True)
    assert of_few == of_many


@given(
    st.lists(st.tuples(st.sampled_from(ODD), st.sampled_from(["a", '"b, c"', '"d\ne"', '""', "", 'f"g'])), max_size=4),
    st.sampled_from(["\n", "\r\n"]),
)
def test_a_short_text_is_read_as_a_long_one_is(rows, end):
    text = "".join(f'"{number}",{word}{end}' for number, word in [("n", "w"), *rows])

    def read():
        try:
            found = columns_of_text(Path("t"), text, ["w", "n"], numbers=["n"])
        except ValueError as error:
            return str(error)
        return [(word, number) for word, number in found], [found.full_location(row) for row in range(len(found))]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "_SHORT", 0)
        long = read()
    assert read() == long


def test_a_short_text_is_read_without_arrows_reader(monkeypatch):
    monkeypatch.setattr(tables, "arrow_columns", None)
    assert list(columns_of_text(Path("t"), "a,b\n1,x\n", ["b", "a"], numbers=["a"])) == [("x", 1.0)]
