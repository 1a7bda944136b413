"""``gatewise export``: the model of a run in another format."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from gatewise.extras import require


def export(
    folder: Path,
    *,
    to: str,
    out: Annotated[Path, Parameter(name=("--out", "-o"))],
    streaming: bool = False,
    opset: int | None = None,
) -> None:
    """Export the model of a run folder, with a model card beside it; success is reported after a check of the file.

    Parameters
    ----------
    folder
        Run folder of the model.
    to
        Format: safetensors (weights, configuration and vocabulary), pt2 (a program of torch.export) or onnx (a model of
        ONNX); the last two are compared with the model on random input.
    out
        File to write; the card has the same name and ends in .md. A model of sequence to sequence is two files, such as
        OUT.encoder.onnx and OUT.decoder.onnx.
    streaming
        One step with the states as inputs and outputs, for data that arrives step by step (onnx and pt2).
    opset
        Version of ONNX's operators, 18 (the default) to 23.
    """
    require("gatewise export", "tasks")

    from gatewise import tasks
    from gatewise.tasks.export import export as export_trained
    from gatewise.tasks.export import export_named

    export_named(to)
    print("\n".join(export_trained(tasks.load(folder), to, out, streaming=streaming, opset=opset)))
