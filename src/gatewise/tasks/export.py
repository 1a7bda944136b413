"""Export of the model of a run: the formats, one module and one line each, and the card beside the file."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gatewise.registry import registered
from gatewise.tasks.model_card import model_card
from gatewise.tasks.trained import Trained
from gatewise.writing import atomic_write, check_writable

EXPORTS = {
    "safetensors": "gatewise.tasks.exports.safetensors",
    "pt2": "gatewise.tasks.exports.pt2",
    "onnx": "gatewise.tasks.exports.onnx",
}
"""By name the module with the ``EXPORT``; loaded when used."""


@dataclass(frozen=True)
class ExportFormat:
    """How the model of a run is written in a format.

    Attributes:
        write: writes it to a path, atomically, and checks what it has written against the model; the result is lines
            for people about that check. Raises a ValueError with the reason where the model cannot be written so.
        loading: Python code that loads a file of this name, for the card.
    """

    write: Callable[[Trained, Path], list[str]]
    loading: Callable[[str], str]


def export_named(name: str) -> ExportFormat:
    """The format of a name.

    Raises:
        ValueError: when there is none.
    """
    return registered("--to", name, EXPORTS).EXPORT


def export(trained: Trained, to: str, out: Path) -> list[str]:
    """Write the model of a run in a format, and its card beside it (of the same name, ending in ``.md``).

    Raises:
        ValueError: for an unknown format, a model that it cannot hold, or one that computes something else there.
        OSError: when a file cannot be written.
    """
    chosen = export_named(to)
    card = out.with_suffix(".md")
    if card == out:
        raise ValueError(f"--out: {out} is the name of the model card beside the file; choose another ending")
    check_writable(out)
    check_writable(card)
    text = model_card(trained.folder, trained.model, chosen.loading(out.name))
    report = chosen.write(trained, out)
    with atomic_write(card) as file:
        file.write(text.encode())
    return [*report, f"written: {out}", f"model card: {card}"]
