"""Export of the model of a run: the formats, one module and one line each, and the card beside the file."""

import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gatewise.kernels import IntegerPrecision
from gatewise.registry import Registry
from gatewise.tasks.model_card import model_card
from gatewise.tasks.trained import Trained
from gatewise.writing import atomic_write, check_writable


@dataclass(frozen=True)
class ExportOptions:
    """What is chosen of an export.

    Attributes:
        streaming: one step with the states as inputs and outputs.
        opset: version of ONNX's operators; None for the default.
        build: compile what is written, where it is code.
        precision: of the products of recurrent layers, see `Recurrent.frozen`; None for that of the weights.
    """

    streaming: bool = False
    opset: int | None = None
    build: bool = False
    precision: IntegerPrecision | None = None


@dataclass(frozen=True)
class ExportPlan:
    """An export that can be written.

    Attributes:
        files: the files that it will consist of.
        loading: Python code that loads them, for the card.
        write: writes the files to other paths, in the same order, and checks what it has written against the model; the
            result is lines for people about that check. Raises a ValueError where something else is computed there.
    """

    files: tuple[Path, ...]
    loading: str
    write: Callable[[Sequence[Path]], list[str]]


@dataclass(frozen=True)
class ExportFormat:
    """How the model of a run is written in a format.

    Attributes:
        plan: of a run, the file to write and what is chosen. Raises a ValueError with the reason where the model cannot
            be written so.
        writes_folder: whether that is a folder, which must not exist, rather than files.
        is_code: whether it is code, which can be compiled and has a precision of its own.
    """

    plan: Callable[[Trained, Path, ExportOptions], ExportPlan]
    writes_folder: bool = False
    is_code: bool = False


EXPORTS = Registry[ExportFormat](
    "--to",
    "EXPORT",
    {
        "safetensors": "gatewise.tasks.exports.safetensors",
        "pt2": "gatewise.tasks.exports.pt2",
        "onnx": "gatewise.tasks.exports.onnx",
        "c": "gatewise.tasks.exports.c",
    },
)
"""The formats by name."""


def check_options(to: str, out: Path | None, *, build: bool, precision: IntegerPrecision | None) -> None:
    """Check what is asked of a format, before a model is read.

    Raises:
        ValueError: for an unknown format, or an option that it does not have.
    """
    chosen = EXPORTS[to]
    if out is None and not chosen.writes_folder:
        raise ValueError(f"--to {to}: name the file to write with --out")
    if build and not chosen.is_code:
        raise ValueError(f"--to {to}: --build is for c")
    if precision is not None and not chosen.is_code:
        raise ValueError(
            f"--to {to}: --precision is for c, and this format holds the weights as they are; export without it, and "
            "quantise with the tools of what runs the file"
        )


def export(
    trained: Trained,
    to: str,
    out: Path | None,
    *,
    streaming: bool = False,
    opset: int | None = None,
    build: bool = False,
    precision: IntegerPrecision | None = None,
) -> list[str]:
    """Write the model of a run in a format, and its card beside it (of the same name, ending in ``.md``).

    A model of several parts is written as several files, whose names have the part before the ending. All are written,
    or none. Without ``out`` a folder is written into that of the run, named as the format.

    Raises:
        ValueError: for an unknown format, a model that it cannot hold, or one that computes something else there.
        OSError: when a file cannot be written.
    """
    check_options(to, out, build=build, precision=precision)
    chosen = EXPORTS[to]
    if out is None:
        out = trained.folder.path / to
    card = out.with_suffix(".md")
    if card == out:
        raise ValueError(f"--out: {out} is the name of the model card beside the file; choose another ending")
    if chosen.writes_folder and out.exists():
        raise ValueError(f"{out}: exists already; remove it, or choose another --out")
    check_writable(out)
    check_writable(card)
    try:
        export_plan = chosen.plan(trained, out, ExportOptions(streaming, opset, build, precision))
    except ValueError as error:
        raise ValueError(f"--to {to}: {error}") from error
    text = model_card(trained.folder, trained.model, export_plan.loading)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as folder:
        unfinished = [Path(folder) / file.name for file in export_plan.files]
        try:
            report = export_plan.write(unfinished)
        except ValueError as error:
            raise ValueError(f"--to {to}: {error}; nothing was written") from error
        for written, file in zip(unfinished, export_plan.files, strict=True):
            os.replace(written, file)
    with atomic_write(card) as file:
        file.write(text.encode())
    return [*report, *(f"written: {file}" for file in export_plan.files), f"model card: {card}"]
