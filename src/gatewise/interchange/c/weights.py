"""The file of weights (``csrc/runtime/weights_file.h``)."""

import struct
import zlib

import numpy as np

from gatewise.interchange.c.description import Model
from gatewise.interchange.c.emission import layout_of

VERSION = 2
_HEAD, _ENTRY, _ALIGNMENT = 40, 32, 64


def weights_file(model: Model) -> bytes:
    """The contents of the file of weights of a model."""
    tensors = [np.ascontiguousarray(one) for one in model.tensors]
    number_bytes = np.dtype({"float": np.float32, "double": np.float64}[model.number]).itemsize
    entries: list[bytes] = []
    parts: list[bytes] = []
    at = _HEAD + _ENTRY * len(tensors)
    for tensor in tensors:
        padding = -at % _ALIGNMENT
        at += padding
        rows, columns = tensor.shape if tensor.ndim == 2 else (len(tensor), 1)
        entries.append(struct.pack("<QQQQ", at, rows, columns, tensor.itemsize))
        parts += [bytes(padding), tensor.astype(tensor.dtype.newbyteorder("<"), copy=False).tobytes()]
        at += tensor.nbytes
    body = struct.pack("<I", len(tensors)) + b"".join(entries) + b"".join(parts)
    head = struct.pack("<8sIIQQI", b"gatewise", VERSION, number_bytes, at, layout_of(model), zlib.crc32(body))
    return head + body
