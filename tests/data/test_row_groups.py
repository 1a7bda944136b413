"""Rows sorted by group."""

import numpy as np
import pytest

from gatewise.data import row_collector, row_groups
from gatewise.data.row_groups import rows_by_group


@pytest.mark.parametrize("in_file", [False, True])
def test_rows_are_those_of_a_stable_sort_whatever_the_blocks(tmp_path, monkeypatch, in_file):
    monkeypatch.setattr(row_groups, "_BLOCK", 7)
    monkeypatch.setattr(row_collector, "IN_MEMORY", 0)
    groups = np.random.default_rng(0).integers(0, 5, 100).astype(np.int32)
    groups[:5] = range(5)
    found = rows_by_group(groups, 5, (lambda: tmp_path) if in_file else None)
    assert [rows.tolist() for rows in found] == [np.flatnonzero(groups == group).tolist() for group in range(5)]
    assert (tmp_path / "order").exists() == in_file
