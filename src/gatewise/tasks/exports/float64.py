"""What forecasts compute in float64 as nodes: medians, which ONNX lacks, and asinh, float32 only in ONNX Runtime."""

import math

import numpy as np
from onnxscript import ir

from gatewise.interchange.onnx.node_list import NodeList, Value

_LARGE = 1e10
"""Above it asinh x is log 2x in float64."""


def nanmedian_nodes(values: Value, dim: int, keepdim: bool = False) -> tuple[Value, Value]:
    """The nodes of `torch.nanmedian` over a dimension: the lower one of two in the middle, and its position."""
    nodes = NodeList()
    dtype, axis = values.dtype.numpy(), nodes.constant(np.array([dim]))
    missing = nodes("IsNaN", values)
    last = nodes("Where", missing, nodes.constant(np.array(np.inf, dtype)), values)
    size = nodes("Gather", nodes("Shape", values), axis)
    in_order = nodes.several("TopK", 2, last, size, axis=dim, largest=0, sorted=1)
    count = nodes("ReduceSum", nodes("Cast", nodes("Not", missing), to=ir.DataType.INT64), axis, keepdims=1)
    middle = nodes("Sub", count, nodes.constant(np.array(1)))
    middle = nodes("Div", nodes("Max", middle, nodes.constant(np.array(0))), nodes.constant(np.array(2)))
    value, position = (nodes("GatherElements", one, middle, axis=dim) for one in in_order)
    none = nodes("Equal", count, nodes.constant(np.array(0)))
    value = nodes("Where", none, nodes.constant(np.array(np.nan, dtype)), value)
    if not keepdim:
        value, position = (nodes("Squeeze", one, axis) for one in (value, position))
    nodes.record()
    return value, position


def asinh_nodes(values: Value) -> Value:
    """The nodes of `torch.asinh`, to 1e-16 near 0 and relative to values elsewhere."""
    nodes = NodeList()

    def number(value: float) -> Value:
        return nodes.constant(np.array(value, values.dtype.numpy()))

    size = nodes("Abs", values)
    small = nodes("Min", size, number(_LARGE))  # whose square is finite
    root = nodes("Sqrt", nodes("Add", nodes("Mul", small, small), number(1)))
    of_large = nodes("Add", nodes("Log", nodes("Max", size, number(_LARGE))), number(math.log(2)))
    found = nodes("Where", nodes("Less", size, number(_LARGE)), nodes("Log", nodes("Add", small, root)), of_large)
    found = nodes("Mul", nodes("Sign", values), found)
    nodes.record()
    return found
