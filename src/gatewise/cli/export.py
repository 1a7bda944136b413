"""``gatewise export``: the model of a run in another format."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from gatewise.extras import require


def export(
    folder: Path,
    *,
    to: str,
    out: Annotated[Path | None, Parameter(name=("--out", "-o"))] = None,
    streaming: bool = False,
    opset: int | None = None,
    build: bool = False,
    precision: Literal["int8"] | None = None,
) -> None:
    """Export the model of a run folder, with a model card beside it; success is reported after a check of the file.

    Parameters
    ----------
    folder
        Run folder of the model.
    to
        Format: safetensors (weights, configuration and vocabulary), pt2 (a program of torch.export), onnx (a model of
        ONNX) or c (a folder of C++ with a C interface, which runs without Python and torch); pt2, onnx, and c with
        --build are compared with the model on random input.
    out
        File or folder to write, by default FOLDER/c for c; the card has the same name and ends in .md. A model of
        sequence to sequence is two files, such as OUT.encoder.onnx and OUT.decoder.onnx.
    streaming
        One step with the states as inputs and outputs, for data that arrives step by step (onnx and pt2).
    opset
        Version of ONNX's operators, 18 (the default) to 23.
    build
        Compile the library of c at once, with the system's compiler.
    precision
        Products of 8-bit integers in the recurrent layers of c (int8), whose weights are such integers in the file.
    """
    require("gatewise export", "tasks")

    from gatewise import tasks
    from gatewise.tasks.export import check_options
    from gatewise.tasks.export import export as export_trained

    check_options(to, out, build=build, precision=precision)
    options = {"streaming": streaming, "opset": opset, "build": build, "precision": precision}
    print("\n".join(export_trained(tasks.load(folder), to, out, **options)))
