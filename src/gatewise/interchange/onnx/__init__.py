"""ONNX's recurrent operators as layers."""

from gatewise.interchange.onnx.directions import BidirectionalPair
from gatewise.interchange.onnx.exporting import ExportedLayer, OnnxExport, to_onnx
from gatewise.interchange.onnx.importing import ImportedNode, from_onnx

__all__ = ["BidirectionalPair", "ExportedLayer", "ImportedNode", "OnnxExport", "from_onnx", "to_onnx"]
