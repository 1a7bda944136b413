"""A program of `torch.export`, which runs wherever gatewise is installed, without the code of the model."""

import io
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim

from gatewise.models.conditional_random_field import ConditionalRandomField
from gatewise.tasks.export import ExportFormat, ExportOptions, ExportPlan
from gatewise.tasks.exports.parts import plan_programs
from gatewise.tasks.exports.program import SIZES, Program
from gatewise.tasks.trained import Trained
from gatewise.writing import atomic_write

_TOLERANCE = 1e-5


def _plan(trained: Trained, out: Path, options: ExportOptions) -> ExportPlan:
    if options.opset is not None:
        raise ValueError("--opset is for onnx")
    return plan_programs(
        trained,
        out,
        streaming=options.streaming,
        imports=_imports(trained.model),
        load=lambda name: f"torch.export.load({name!r}).module()",
        write=_write,
    )


def _imports(model: nn.Module) -> str:
    lines = ["import torch\n", "import gatewise.kernels.operators  # the operators of recurrent layers"]
    if any(isinstance(part, ConditionalRandomField) for part in model.modules()):
        lines.append("import gatewise.models.viterbi  # the operator that decodes tags")
    return "\n".join([*lines, ""])


def _write(program: Program, path: Path) -> list[str]:
    open_sizes = {name: Dim(name, min=1) for name in SIZES[0]}
    shapes = tuple(
        {axis: open_sizes[size] for axis, size in enumerate(one.sizes) if isinstance(size, str)}
        for one in program.inputs
    )
    module = program.module
    with torch.no_grad():
        try:
            exported = torch.export.export(module, program.drawn(SIZES[0]), dynamic_shapes=(shapes,))
        except Exception as error:  # torch has no common class for what it cannot trace
            reason = str(error).partition("\n")[0]
            raise ValueError(f"torch.export cannot trace this model for any sizes ({reason})") from error
        content = io.BytesIO()
        torch.export.save(exported, content)
        content.seek(0)
        read: Any = torch.export.load(content).module()
        worst = 0.0
        for sizes in SIZES:
            given = program.drawn(sizes)
            for expected, found in zip(_results(module(*given)), _results(read(*given)), strict=True):
                error = float(((found - expected).abs() / expected.abs().clamp(min=1)).max())
                if found.shape != expected.shape or not error <= _TOLERANCE:
                    raise ValueError(
                        f"the exported program differs from the model by {error:.1e} on random input of "
                        f"{sizes['steps']} steps and {sizes['rows']} rows"
                    )
                worst = max(worst, error)
    with atomic_write(path) as file:
        file.write(content.getbuffer())
    return [f"equal to the model on random input: largest error {worst:.1e}, relative above 1"]


def _results(returned: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return (returned,) if isinstance(returned, Tensor) else returned


EXPORT = ExportFormat(_plan)
