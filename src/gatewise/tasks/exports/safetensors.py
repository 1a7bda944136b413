"""Weights as safetensors, with the configuration, the vocabulary and the cells of the layers in the header."""

from collections.abc import Sequence
from pathlib import Path

import torch

from gatewise.interchange.safetensors_file import read, write
from gatewise.tasks.export import ExportFormat, ExportOptions, ExportPlan
from gatewise.tasks.exports.header import header_of
from gatewise.tasks.trained import Trained


def _plan(trained: Trained, out: Path, options: ExportOptions) -> ExportPlan:
    if options.opset is not None:
        raise ValueError("--opset is for onnx")
    if options.streaming:
        raise ValueError("--streaming is for programs, onnx and pt2; the weights are the same for both")

    def write_to(paths: Sequence[Path]) -> list[str]:
        (path,) = paths
        weights = trained.model.state_dict()
        write(path, weights, **header_of(trained))
        written = read(path, None)
        if written.keys() != weights.keys() or not all(torch.equal(written[name], weights[name]) for name in weights):
            raise ValueError("the weights read back are not those of the model")
        return [f"{len(written)} tensors, read back and equal"]

    return ExportPlan((out,), _loading(out.name), write_to)


def _loading(name: str) -> str:
    return (
        "import safetensors\n\n"
        f"with safetensors.safe_open({name!r}, framework='pt') as file:\n"
        "    weights = {name: file.get_tensor(name) for name in file.keys()}\n"
        "    config = file.metadata()['config']  # also: task, vocabulary, gatewise.layers"
    )


EXPORT = ExportFormat(_plan)
