"""Next chord: predict which notes sound in the next step of a piece, from a file of the user.

The form of the file is that of the JSB chorales by Boulanger-Lewandowski, Bengio & Vincent 2012, arXiv:1206.6392, in
JSON: ``{"train": [piece, …], "valid": […], "test": […]}``; a piece is a list of steps, a step the list of the MIDI
numbers of the notes that sound. −1 is the rest of a voice, as in files that give every voice its place.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.nn.utils.rnn import pad_sequence

from gatewise.data.files import read_bytes
from gatewise.data.generated.sequences import Sequences

NOTES = 88
LOWEST, HIGHEST = 21, 108
"""The MIDI numbers of the keys of a piano."""
REST = -1
PARTS = ("train", "valid", "test")


def read_chords(path: str | Path) -> dict[str, list[Tensor]]:
    """Read the pieces of a file.

    Args:
        path: a file of JSON, compressed if its name ends in .xz, .gz or .bz2.

    Returns:
        for each part, its pieces: (steps, 88), 1 for notes that sound.

    Raises:
        ValueError: when the file has another form; the message names the file and the location.
        OSError: when it cannot be read.
    """
    path = Path(path)
    try:
        content = json.loads(read_bytes(path))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: expected JSON ({error})") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path}: expected an object with {', '.join(PARTS)}, got {_shortened(content)}")
    absent = [part for part in PARTS if part not in content]
    if absent:
        raise ValueError(
            f"{path}: expected an object with {', '.join(PARTS)}; {', '.join(absent)} missing; found "
            f"{', '.join(map(str, content)) or 'nothing'}"
        )
    return {part: _pieces(content[part], f"{path}: {part}") for part in PARTS}


def next_chords(pieces: Sequence[Tensor]) -> Sequences:
    """Pieces as a batch in which each step is to predict the next.

    Args:
        pieces: (steps, 88) each, of at least two steps.

    Returns:
        inputs (T, B, 88): all steps but the last; targets (T, B, 88): all but the first.

    Raises:
        ValueError: for no pieces, or one of fewer than two steps.

    >>> batch = next_chords([torch.ones(5, 88), torch.ones(3, 88)])
    >>> batch.inputs.shape, batch.lengths
    (torch.Size([4, 2, 88]), tensor([4, 2]))
    """
    if not pieces:
        raise ValueError("pieces: expected at least one, got none")
    for index, piece in enumerate(pieces):
        if piece.ndim != 2 or piece.shape[0] < 2:
            raise ValueError(
                f"pieces[{index}]: expected at least two steps, (steps, {NOTES}), got {tuple(piece.shape)}"
            )
    return Sequences(
        pad_sequence([piece[:-1] for piece in pieces]),
        pad_sequence([piece[1:] for piece in pieces]),
        torch.tensor([len(piece) - 1 for piece in pieces]),
    )


def chord_loss(logits: Tensor, sequences: Sequences) -> Tensor:
    """The negative log-likelihood of the next chord, its notes taken as independent.

    Args:
        logits: log-odds that each note sounds, (T, B, 88).
        sequences: the sequences.

    Returns:
        nats per step, the mean over all steps of all pieces (Boulanger-Lewandowski et al. report it), a scalar.

    >>> pieces = next_chords([torch.ones(5, 88), torch.ones(3, 88)])
    >>> round(chord_loss(torch.zeros(4, 2, 88), pieces).item(), 3)  # 88 log 2
    60.997
    """
    losses = binary_cross_entropy_with_logits(logits, sequences.targets, reduction="none").sum(-1)
    return losses[sequences.mask].mean()


def _pieces(content: Any, where: str) -> list[Tensor]:
    pieces = [_piece(one, f"{where}[{index}]") for index, one in enumerate(_list(content, where, "pieces"))]
    if not pieces:
        raise ValueError(f"{where}: expected at least one piece, got none")
    return pieces


def _piece(content: Any, where: str) -> Tensor:
    steps = _list(content, where, "steps")
    if len(steps) < 2:
        raise ValueError(f"{where}: expected a piece of at least two steps, got {len(steps)}")
    roll = torch.zeros(len(steps), NOTES)
    for index, step in enumerate(steps):
        for note in _list(step, f"{where}[{index}]", "notes"):
            if type(note) is not int or not (note == REST or LOWEST <= note <= HIGHEST):
                raise ValueError(
                    f"{where}[{index}]: expected MIDI numbers from {LOWEST} to {HIGHEST}, or {REST} for a rest, got "
                    f"{json.dumps(note):.40}"
                )
            if note != REST:
                roll[index, note - LOWEST] = 1
    return roll


def _list(content: Any, where: str, of: str) -> list[Any]:
    if not isinstance(content, list):
        raise ValueError(f"{where}: expected a list of {of}, got {_shortened(content)}")
    return content


def _shortened(content: Any) -> str:
    """A value as JSON, cut if it is long."""
    return f"{json.dumps(content):.40}"
