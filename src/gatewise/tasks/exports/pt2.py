"""A program of `torch.export`, which runs wherever gatewise is installed, without the code of the model."""

import io
from pathlib import Path
from typing import Any

import torch
from torch.export import Dim

from gatewise.tasks.export import ExportFormat
from gatewise.tasks.exports.programs import SIZES, program_of
from gatewise.tasks.trained import Trained
from gatewise.writing import atomic_write

_TOLERANCE = 1e-5


def _write(trained: Trained, out: Path) -> list[str]:
    module, arguments = program_of(trained, "pt2")
    steps, rows = Dim("steps", min=1), Dim("rows", min=1)
    shapes: tuple[Any, ...] = ({0: steps, 1: rows},)
    if len(arguments(*SIZES[0])) == 2:
        shapes = (*shapes, {0: rows})
    with torch.no_grad():
        try:
            program = torch.export.export(module, arguments(*SIZES[0]), dynamic_shapes=shapes)
        except Exception as error:  # torch has no common class for what it cannot trace
            reason = str(error).partition("\n")[0]
            raise ValueError(f"--to pt2: torch.export cannot trace this model for any sizes ({reason})") from error
        content = io.BytesIO()
        torch.export.save(program, content)
        content.seek(0)
        read: Any = torch.export.load(content).module()
        worst = 0.0
        for sizes in SIZES:
            given = arguments(*sizes)
            expected, found = module(*given), read(*given)
            error = float(((found - expected).abs() / expected.abs().clamp(min=1)).max())
            if found.shape != expected.shape or not error <= _TOLERANCE:
                raise ValueError(
                    f"{out}: the exported program differs from the model by {error:.1e} on random input of "
                    f"{sizes[0]} steps and {sizes[1]} rows; nothing was written"
                )
            worst = max(worst, error)
    with atomic_write(out) as file:
        file.write(content.getbuffer())
    return [f"equal to the model on random input: largest error {worst:.1e}, relative above 1"]


def _loading(name: str) -> str:
    return (
        "import torch\n\n"
        "import gatewise.kernels.operators  # the operators of recurrent layers\n\n"
        f"model = torch.export.load({name!r}).module()\n"
        "# inputs (steps, rows), and except for a language model lengths (rows,) -> scores"
    )


EXPORT = ExportFormat(_write, _loading)
