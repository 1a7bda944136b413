"""Rows that are collected in memory, and in files once they are many."""

import numpy as np
import pytest

from gatewise.data import row_collector
from gatewise.data.row_collector import RowCollector
from gatewise.data.row_store import Field

FIELDS = {"steps": Field("float64", (2,)), "nothing": Field("float32", (0,)), "number": Field("int64", ragged=False)}


@pytest.mark.parametrize("in_memory", [0, 100, 10_000])
def test_rows_are_the_same_in_memory_and_in_files(tmp_path, monkeypatch, in_memory):
    monkeypatch.setattr(row_collector, "IN_MEMORY", in_memory)
    made = []

    def make_folder():
        made.append(tmp_path / str(len(made)))
        made[-1].mkdir()
        return made[-1]

    rows = RowCollector(FIELDS, make_folder)
    lengths = [3, 0, 5, 1]
    for number, length in enumerate(lengths):
        rows.append(steps=np.full((length, 2), number), nothing=np.zeros((length, 0)), number=number)
    found = rows.finish()
    assert len(made) == (in_memory < 10_000)
    assert found.lengths("steps").tolist() == found.lengths("nothing").tolist() == lengths
    assert found.items("steps").tolist() == [
        [number] * 2 for number, length in enumerate(lengths) for _ in range(length)
    ]
    assert found.items("nothing").shape == (9, 0)
    assert found.row("steps", 2).tolist() == [[2, 2]] * 5
    assert found.column("number").tolist() == [0, 1, 2, 3]


def test_all_is_kept_in_memory_without_a_folder(monkeypatch):
    monkeypatch.setattr(row_collector, "IN_MEMORY", 0)
    rows = RowCollector(FIELDS)
    rows.append(steps=np.ones((1, 2)), nothing=np.zeros((1, 0)), number=7)
    assert rows.finish().column("number").tolist() == [7]
