"""A model of ONNX, which runs without gatewise and torch."""

from collections.abc import Mapping
from pathlib import Path

from gatewise.interchange.onnx import OnnxExport, to_onnx
from gatewise.tasks.export import ExportFormat, Planned
from gatewise.tasks.exports.header import header_of
from gatewise.tasks.exports.parts import plan_programs
from gatewise.tasks.exports.program import SIZES, Program
from gatewise.tasks.trained import Trained


def _plan(trained: Trained, out: Path, streaming: bool) -> Planned:
    return plan_programs(
        trained,
        out,
        streaming=streaming,
        imports="import onnxruntime\n",
        load=lambda name: f"onnxruntime.InferenceSession({name!r})",
        write=lambda program, path: str(_write(program, path, header_of(trained))).splitlines(),
    )


def _write(program: Program, path: Path, metadata: Mapping[str, str]) -> OnnxExport:
    return to_onnx(
        program.module,
        program.drawn(SIZES[0]),
        path,
        input_names=[one.name for one in program.inputs],
        output_names=program.outputs,
        size_names={one.name: one.sizes for one in program.inputs},
        metadata=metadata,
    )


EXPORT = ExportFormat(_plan)
