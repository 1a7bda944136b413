"""Next chord: the file's form, and the errors for other files."""

import gzip
import json
import lzma
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from gatewise.data.generated.chords import chord_loss, next_chords, read_chords

CHORALES = {
    "train": [[[60, 64, 67], [], [21, 108]], [[72], [71, 72]]],
    "valid": [[[50], [51], [52]]],
    "test": [[[88, 60], [60]]],
}


@pytest.mark.parametrize("suffix", [".json", ".json.xz", ".json.gz"])
def test_notes_of_every_step(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"chorales{suffix}"
    content = json.dumps(CHORALES).encode()
    path.write_bytes({".xz": lzma.compress, ".gz": gzip.compress}.get(path.suffix, bytes)(content))
    found = read_chords(path)
    assert list(found) == ["train", "valid", "test"]
    for part, pieces in CHORALES.items():
        for roll, piece in zip(found[part], pieces, strict=True):
            assert roll.shape == (len(piece), 88)
            assert [sorted(21 + key for key, sounds in enumerate(step) if sounds) for step in roll.tolist()] == [
                sorted(step) for step in piece
            ]


def test_each_step_is_to_predict_the_next() -> None:
    generator = torch.Generator().manual_seed(1)
    pieces = [torch.rand(steps, 88, generator=generator) for steps in (5, 2, 7)]
    batch = next_chords(pieces)
    assert batch.lengths is not None
    assert batch.lengths.tolist() == [4, 1, 6]
    for row, piece in enumerate(pieces):
        for step in range(len(piece) - 1):
            assert torch.equal(batch.inputs[step, row], piece[step])
            assert torch.equal(batch.targets[step, row], piece[step + 1])
        assert not batch.inputs[len(piece) - 1 :, row].any()
        assert not batch.targets[len(piece) - 1 :, row].any()


def test_rests_of_voices_are_silent(tmp_path: Path) -> None:
    path = tmp_path / "voices.json"
    path.write_text(json.dumps({**CHORALES, "test": [[[60, -1, 64], [-1, -1]]]}))
    (piece,) = read_chords(path)["test"]
    assert piece[0].nonzero().flatten().tolist() == [39, 43]
    assert not piece[1].any()


def test_loss_is_the_sum_over_notes_and_the_mean_over_true_steps() -> None:
    generator = torch.Generator().manual_seed(3)
    pieces = [torch.randint(0, 2, (steps, 88), generator=generator).float() for steps in (4, 2)]
    batch = next_chords(pieces)
    logits = torch.randn(3, 2, 88, generator=generator)
    steps = [
        -sum(
            torch.log(torch.sigmoid(logit if sounds else -logit)).item()
            for logit, sounds in zip(logits[step, row], piece[step + 1], strict=True)
        )
        for row, piece in enumerate(pieces)
        for step in range(len(piece) - 1)
    ]
    assert chord_loss(logits, batch).item() == pytest.approx(sum(steps) / 4, rel=1e-5)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "expected JSON"),
        ("[1, 2]", r"expected an object with train, valid, test, got [1, 2]"),
        ('{"train": []}', "valid, test missing; found train"),
        ({"train": []}, "train: expected at least one piece, got none"),
        ({"train": {"a": 1}}, 'train: expected a list of pieces, got {"a": 1}'),
        ({"valid": [[[60], [61]], 5]}, "valid[1]: expected a list of steps, got 5"),
        ({"valid": [[[60]]]}, "valid[0]: expected a piece of at least two steps, got 1"),
        ({"test": [[[60], 61]]}, "test[0][1]: expected a list of notes, got 61"),
        ({"test": [[[60], [20]]]}, "test[0][1]: expected MIDI numbers from 21 to 108, or -1 for a rest, got 20"),
        ({"test": [[[60], [109]]]}, "test[0][1]: expected MIDI numbers from 21 to 108, or -1 for a rest, got 109"),
        ({"test": [[[60.0], [60]]]}, "test[0][0]: expected MIDI numbers from 21 to 108, or -1 for a rest, got 60.0"),
        ({"test": [[[True], [60]]]}, "test[0][0]: expected MIDI numbers from 21 to 108, or -1 for a rest, got true"),
        ({"test": [[["C4"], [60]]]}, 'test[0][0]: expected MIDI numbers from 21 to 108, or -1 for a rest, got "C4"'),
    ],
)
def test_other_files_are_rejected_with_their_location(tmp_path: Path, content: Any, message: str) -> None:
    path = tmp_path / "pieces.json"
    path.write_text(content if isinstance(content, str) else json.dumps({**CHORALES, **content}))
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        read_chords(path)
    assert str(caught.value).startswith(str(path))


def test_corrupt_and_binary_files_are_rejected(tmp_path: Path) -> None:
    for name, content, said in (
        ("pieces.json.xz", b"\xff\xfe\x00\x81", "not a .xz file"),
        ("pieces.json", b"\xff\xfe\x00\x81", "expected JSON"),
        ("latin.json", b'{"pi\xe8ce": 1}', "expected JSON ('utf-8' codec can't decode"),
    ):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(ValueError, match=re.escape(said)) as caught:
            read_chords(path)
        assert str(path) in str(caught.value)


def test_batches_need_two_steps() -> None:
    with pytest.raises(ValueError, match="pieces: expected at least one, got none"):
        next_chords([])
    with pytest.raises(ValueError, match=r"pieces\[1\]: expected at least two steps, \(steps, 88\), got \(1, 88\)"):
        next_chords([torch.ones(2, 88), torch.ones(1, 88)])
