"""Rows in columns: what was written is read, in memory as from files."""

import os
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewise.data import row_store
from gatewise.data.row_store import Field, RowWriter, open_rows

FIELDS = {"tokens": Field("uint16"), "steps": Field("float32", (2,)), "label": Field("int64", ragged=False)}
ROWS = st.lists(
    st.tuples(
        st.lists(st.integers(0, 60_000), max_size=9),
        st.lists(st.tuples(st.integers(-9, 9), st.integers(-9, 9)), max_size=4),
        st.integers(-(2**40), 2**40),
    ),
    max_size=12,
)


def written(rows, folder=None):
    with RowWriter(FIELDS, folder) as writer:
        for tokens, steps, label in rows:
            writer.append(tokens=tokens, steps=steps, label=label)
        return writer.finish()


@given(rows=ROWS, buffer=st.integers(1, 200))
def test_what_was_written_is_read(tmp_path_factory, rows, buffer):
    folder = tmp_path_factory.mktemp("rows")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(row_store, "_BUFFER", buffer)
        patch.setattr(os, "fsync", lambda descriptor: None)
        stores = written(rows), written(rows, folder), open_rows(folder)
    for store in stores:
        assert store is not None
        assert len(store) == len(rows)
        assert store.lengths("tokens").tolist() == [len(tokens) for tokens, _, _ in rows]
        assert store.column("label").tolist() == [label for _, _, label in rows]
        for index, (tokens, steps, _) in enumerate(rows):
            assert store.row("tokens", index).tolist() == tokens
            assert store.row("tokens", index - len(rows)).tolist() == tokens
            assert store.row("steps", index).tolist() == [list(map(float, step)) for step in steps]
            assert store.row("steps", index).shape[1:] == (2,)
        assert store.size == stores[0].size


def test_rows_of_a_folder_are_mapped_and_read_only(tmp_path):
    row = written([([1, 2], [], 3)], tmp_path).row("tokens", 0)
    assert not row.flags.writeable
    assert not row.flags.owndata


@pytest.mark.parametrize("index", [2, -3])
def test_a_row_that_is_missing(index):
    with pytest.raises(IndexError, match=f"row {index} of 2"):
        written([([1], [], 0), ([2], [], 1)]).row("tokens", index)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"tokens": [[1]], "steps": [], "label": 0}, "tokens: expected an array of shape ('T',), got (1, 1)"),
        ({"tokens": [1], "steps": [[1, 2, 3]], "label": 0}, "steps: expected an array of shape ('T', 2), got (1, 3)"),
        ({"tokens": [1], "steps": [], "label": [0, 1]}, "label: expected an array of shape (), got (2,)"),
    ],
)
def test_an_array_of_another_shape(row, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        RowWriter(FIELDS).append(**row)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda folder: (folder / "rows.json").unlink(),
        lambda folder: (folder / "rows.json").write_text("[]"),
        lambda folder: (folder / "rows.json").write_text('{"version": 0}'),
        lambda folder: (folder / "tokens.items").unlink(),
        lambda folder: (folder / "tokens.items").write_bytes(b"1"),
        lambda folder: (folder / "tokens.ends").write_bytes(b""),
        lambda folder: (folder / "label.items").write_bytes(b"12345678" * 3),
    ],
)
def test_rows_that_are_incomplete_are_not_opened(tmp_path, spoil):
    written([([1, 2], [], 3), ([], [], 4)], tmp_path)
    assert open_rows(tmp_path) is not None
    spoil(tmp_path)
    assert open_rows(tmp_path) is None


def test_a_folder_is_opened_only_once_it_is_finished(tmp_path):
    with RowWriter({"tokens": Field(np.uint8)}, tmp_path) as writer:
        writer.append(tokens=[1])
        assert open_rows(tmp_path) is None
    assert open_rows(tmp_path) is None
