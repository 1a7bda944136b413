"""Weights as safetensors, with the configuration, the vocabulary and the cells of the layers in the header."""

from pathlib import Path

import torch

from gatewise.interchange.safetensors_file import read, write
from gatewise.tasks.export import ExportFormat
from gatewise.tasks.exports.header import header_of
from gatewise.tasks.trained import Trained


def _write(trained: Trained, out: Path) -> list[str]:
    weights = trained.model.state_dict()
    write(
        out,
        weights,
        **header_of(trained),
    )
    written = read(out, None)
    if written.keys() != weights.keys() or not all(torch.equal(written[name], weights[name]) for name in weights):
        raise ValueError(f"{out}: the weights read back are not those of the model")
    return [f"{len(written)} tensors, read back and equal"]


def _loading(name: str) -> str:
    return (
        "import safetensors\n\n"
        f"with safetensors.safe_open({name!r}, framework='pt') as file:\n"
        "    weights = {name: file.get_tensor(name) for name in file.keys()}\n"
        "    config = file.metadata()['config']  # also: task, vocabulary, gatewise.layers"
    )


EXPORT = ExportFormat(_write, _loading)
