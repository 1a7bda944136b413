"""Paths of files as callers give them."""

import re
from pathlib import Path

import pytest

from gatewise.data.files import as_paths
from gatewise.data.series_tables import as_tables


def test_one_path_or_several():
    assert as_paths("a") == as_paths(Path("a")) == as_paths(["a"]) == [Path("a")]
    assert as_paths(name for name in ("a", "b")) == [Path("a"), Path("b")]


@pytest.mark.parametrize("read", [as_paths, as_tables])
@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (3, TypeError, "data: expected paths of files, or a table in memory, got 3"),
        ([("a", "b")], TypeError, "data: expected paths of files, or a table in memory, got ('a', 'b')"),
        ([None], TypeError, "data: expected paths of files, or a table in memory, got None"),
        ([], ValueError, "data: expected at least one file, got none"),
    ],
)
def test_what_is_no_path(read, data, error, message):
    with pytest.raises(error, match=re.escape(message)):
        read(data)
