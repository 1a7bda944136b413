"""ONNX's recurrent operators as layers."""

from gatewise.interchange.onnx.directions import BidirectionalPair
from gatewise.interchange.onnx.importing import ImportedNode, from_onnx

__all__ = ["BidirectionalPair", "ImportedNode", "from_onnx"]
