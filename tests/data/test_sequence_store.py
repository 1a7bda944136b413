"""Sequences in memory and in files."""

import numpy as np
import pytest

from gatewise.data import row_collector
from gatewise.data.sequence_store import SequenceWriter, hash_of

SEQUENCES = [
    ([[1.0, 2.0], [3.0, np.nan]], ["a"], {"colour": ["red", "blue"]}),
    ([[5.0, 6.0]], [], {"colour": ["red"]}),
    ([[np.nan, 0.0]] * 3, ["b", "a", "b"], {"colour": ["green"] * 3}),
]


def written(sequences, make_folder=None):
    writer = SequenceWriter(("colour",), make_folder)
    for steps, labels, categories in sequences:
        writer.add(np.array(steps), labels, categories)
    return writer.finish().sequences()


@pytest.mark.parametrize("in_memory", [0, 60, 1 << 20])
def test_they_are_read_as_they_were_written(tmp_path, monkeypatch, in_memory):
    monkeypatch.setattr(row_collector, "IN_MEMORY", in_memory)
    found = written(SEQUENCES, lambda: tmp_path)
    assert bool(list(tmp_path.iterdir())) == (in_memory < 1 << 20)
    for path in tmp_path.iterdir():
        path.unlink()  # what is mapped needs no name
    for sequence, (steps, labels, categories) in zip(found, SEQUENCES, strict=True):
        np.testing.assert_array_equal(sequence.steps, steps)
        assert (sequence.length, sequence.labels, sequence.categories) == (len(steps), labels, categories)
        assert sequence.classes == set(labels)
    assert [sequence.missing for sequence in found] == [[1], [], [0]]
    assert hash_of(found) == hash_of(written(SEQUENCES))


@pytest.mark.parametrize(
    "change",
    [
        lambda rows: rows[::-1],
        lambda rows: rows[:2],
        lambda rows: [rows[0], rows[1], ([[np.nan, 0.5]] * 3, *rows[2][1:])],
        lambda rows: [rows[0], (rows[1][0], ["a"], rows[1][2]), rows[2]],
        lambda rows: [rows[0], (*rows[1][:2], {"colour": ["blue"]}), rows[2]],
        lambda rows: [(rows[0][0] + rows[1][0], ["a"], {"colour": ["red", "blue", "red"]}), rows[2]],
    ],
)
def test_other_sequences_have_another_hash(change):
    assert hash_of(written(change(SEQUENCES))) != hash_of(written(SEQUENCES))
