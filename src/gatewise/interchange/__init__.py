"""Weights and graphs of other frameworks, in and out: PyTorch, ONNX, Keras, and the identity of a state_dict."""

from gatewise.interchange.identity import declare

__all__ = ["declare"]
