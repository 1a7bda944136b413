"""Operators of models that torch's exporter does not know, as nodes of ONNX."""

from typing import Final

import torch

from gatewise.interchange.onnx.exporting import Translations
from gatewise.tasks.exports.float64 import asinh_nodes, nanmedian_nodes
from gatewise.tasks.exports.viterbi import viterbi_nodes

TRANSLATIONS: Final[Translations] = {
    torch.ops.aten.asinh.default: asinh_nodes,
    torch.ops.aten.nanmedian.dim: nanmedian_nodes,
    torch.ops.gatewise.viterbi.default: viterbi_nodes,
}
"""By operator."""
