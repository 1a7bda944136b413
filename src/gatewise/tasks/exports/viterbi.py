"""Viterbi decoding as nodes of ONNX: a loop over the steps, and one back along the best path."""

from typing import Final

import numpy as np
from onnxscript import ir

from gatewise.interchange.onnx.loop import Loop
from gatewise.interchange.onnx.node_list import NodeList, Value

_END: Final = np.iinfo(np.int64).max


def viterbi_nodes(scores: Value, table: Value, lengths: Value) -> Value:
    """The nodes of `gatewise.models.viterbi.viterbi`.

    Both loops run over all T steps, because ONNX Runtime has none over no steps.
    """
    nodes = NodeList()
    transitions = _part(nodes, _part(nodes, table, 0, 0, -1), 1, 0, -1)
    start = _part(nodes, _part(nodes, table, 0, -1, _END), 1, 0, -1)
    end = nodes("Transpose", _part(nodes, _part(nodes, table, 1, -1, _END), 0, 0, -1), perm=[1, 0])
    best, pointers = _forward(nodes, start, scores, transitions, lengths)
    tags = _backward(nodes, nodes("ArgMax", nodes("Add", best, end), axis=1, keepdims=1), pointers)
    tags = nodes("Squeeze", tags, _numbers(nodes, 2))
    nodes.record()
    return tags


def _forward(nodes: NodeList, start: Value, scores: Value, transitions: Value, lengths: Value) -> tuple[Value, Value]:
    """The scores (B, K) of the best paths to each tag, and the tag before each on it, (T, B, K)."""
    kind, boolean = ir.TensorType(scores.dtype), ir.TensorType(ir.DataType.BOOL)
    zero = nodes.constant(np.array(0))
    steps = nodes("Range", zero, nodes("Squeeze", nodes("Shape", scores, start=0, end=1)), nodes.constant(np.array(1)))
    steps = nodes("Unsqueeze", steps, _numbers(nodes, 1, 2))
    valid = nodes("Less", steps, nodes("Unsqueeze", lengths, _numbers(nodes, 1)))
    stay = nodes.constant(np.arange(int(scores.shape[2]))[None])
    initial = nodes("Expand", start, nodes("Shape", scores, start=1, end=3))
    loop = Loop()
    inside, before = loop.inside, loop.carry(initial, kind)
    of_step, active = loop.read(scores, kind), loop.read(valid, boolean)
    is_first = loop.read(nodes("Equal", steps, zero), boolean)
    paths = inside("Add", inside("Unsqueeze", before, _numbers(nodes, 2)), transitions)
    best = inside("Where", is_first, before, inside("ReduceMax", paths, _numbers(nodes, 1), keepdims=0))
    loop.carried(before, inside("Where", active, inside("Add", best, of_step), before))
    loop.write(inside("Where", active, inside("ArgMax", paths, axis=1, keepdims=0), stay))
    best, pointers = loop.node(nodes)
    return best, pointers


def _backward(nodes: NodeList, last: Value, pointers: Value) -> Value:
    """The tags (T, B, 1) on the way to the last ones (B, 1)."""
    kind = ir.TensorType(ir.DataType.INT64)
    loop = Loop()
    tag = loop.carry(last, kind)
    origins = loop.read(pointers, kind, reverse=True)
    loop.carried(tag, loop.inside("GatherElements", origins, tag, axis=1))
    loop.write(tag, reverse=True)
    _, tags = loop.node(nodes)
    return tags


def _part(nodes: NodeList, value: Value, axis: int, begin: int, end: int) -> Value:
    return nodes("Slice", value, *(_numbers(nodes, number) for number in (begin, end, axis)))


def _numbers(nodes: NodeList, *numbers: int) -> Value:
    return nodes.constant(np.array(numbers))
