"""Token numbers in mapped files: what was written is read, whatever the sizes of blocks and files."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewise.data import shards
from gatewise.data.shards import Shards, open_shards, write_shards

blocks_of_numbers = st.lists(st.lists(st.integers(0, 60_000), max_size=9), max_size=6)


@given(blocks=blocks_of_numbers, size=st.integers(1, 7), start=st.integers(-60, 60), stop=st.integers(-60, 60))
def test_what_was_written_is_read(tmp_path_factory, blocks, size, start, stop):
    folder = tmp_path_factory.mktemp("shards")
    expected = [number for block in blocks for number in block]
    dtype = np.dtype(np.uint16)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "SHARD", size)
        counts = write_shards(folder, "part", (np.array(block, dtype=dtype) for block in blocks))
    assert sum(counts) == len(expected)
    assert all(count == size for count in counts[:-1])
    found = open_shards(folder, "part", dtype, counts)
    assert found is not None
    assert len(found) == len(expected)
    assert found[:].tolist() == expected
    assert found[start:stop].tolist() == expected[start:stop]
    assert found.beginning(abs(start))[:].tolist() == expected[: abs(start)]


def test_a_missing_or_shortened_file_is_not_opened(tmp_path):
    dtype = np.dtype(np.uint8)
    counts = write_shards(tmp_path, "part", [np.arange(9, dtype=dtype)])
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-1])
    assert open_shards(tmp_path, "part", dtype, counts) is None
    path.unlink()
    assert open_shards(tmp_path, "part", dtype, counts) is None


def test_only_steps_of_one(tmp_path):
    with pytest.raises(ValueError, match="expected a slice of step 1, got 2"):
        Shards([np.arange(4)])[::2]
