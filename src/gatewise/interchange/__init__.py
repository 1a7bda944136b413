"""Weights and graphs of other frameworks, in and out: PyTorch, ONNX, Keras, and the identity of a state_dict."""
