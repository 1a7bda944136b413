"""Weights and graphs of other frameworks, in and out: PyTorch, ONNX, Keras, and the identity of a state_dict."""

from gatewise.interchange.identity import declare
from gatewise.interchange.torch_layers import from_torch, to_torch
from gatewise.interchange.torch_models import Replacement, replace

__all__ = ["Replacement", "declare", "from_torch", "replace", "to_torch"]
