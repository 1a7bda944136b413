"""A model of ONNX, which runs without gatewise and torch."""

from collections.abc import Mapping
from pathlib import Path

from gatewise.extras import require
from gatewise.interchange.onnx import OnnxExport, to_onnx
from gatewise.interchange.onnx.exporting import DEFAULT_OPSET, check_opset
from gatewise.tasks.export import ExportFormat, ExportOptions, ExportPlan
from gatewise.tasks.exports.header import header_of
from gatewise.tasks.exports.parts import plan_programs
from gatewise.tasks.exports.program import SIZES, Program
from gatewise.tasks.trained import Trained


def _plan(trained: Trained, out: Path, options: ExportOptions) -> ExportPlan:
    require("gatewise export --to onnx", "onnx")
    opset = DEFAULT_OPSET if options.opset is None else check_opset(options.opset)
    return plan_programs(
        trained,
        out,
        streaming=options.streaming,
        imports="import onnxruntime\n",
        load=lambda name: f"onnxruntime.InferenceSession({name!r})",
        write=lambda program, path: str(_write(program, path, header_of(trained), opset)).splitlines(),
    )


def _write(program: Program, path: Path, metadata: Mapping[str, str], opset: int = DEFAULT_OPSET) -> OnnxExport:
    from gatewise.tasks.exports.translations import TRANSLATIONS

    return to_onnx(
        program.module,
        program.drawn(SIZES[0]),
        path,
        opset=opset,
        input_names=[one.name for one in program.inputs],
        output_names=program.outputs,
        size_names={one.name: one.sizes for one in program.inputs},
        metadata=metadata,
        translations=TRANSLATIONS,
    )


EXPORT = ExportFormat(_plan)
