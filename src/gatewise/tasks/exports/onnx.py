"""A model of ONNX, which runs without gatewise and torch."""

from pathlib import Path

from gatewise.interchange.onnx import to_onnx
from gatewise.tasks.export import ExportFormat
from gatewise.tasks.exports.header import header_of
from gatewise.tasks.exports.programs import SIZES, program_of
from gatewise.tasks.trained import Trained


def _write(trained: Trained, out: Path) -> list[str]:
    module, arguments = program_of(trained, "onnx")
    try:
        written = to_onnx(module, arguments(*SIZES[0]), out, output_names=["scores"], metadata=header_of(trained))
    except ValueError as error:
        raise ValueError(f"--to onnx: {error}") from error
    return str(written).splitlines()


def _loading(name: str) -> str:
    return (
        "import onnxruntime\n\n"
        f"session = onnxruntime.InferenceSession({name!r})\n"
        "config = session.get_modelmeta().custom_metadata_map['config']  # also: task, vocabulary, gatewise\n"
        "inputs = [one.name for one in session.get_inputs()]\n"
        "# session.run(['scores'], {name: array}): inputs (steps, rows) int64, or (steps, rows, features) float32,\n"
        "# and except for a language model lengths (rows,) int64"
    )


EXPORT = ExportFormat(_write, _loading)
