"""The compiled binding: the engine's passes as functions of tensors.

It reads and creates tensors through the DLPack exchange table of `torch.Tensor`, and receives the Python classes and
functions it uses here, so it is built without torch and works with every Python.
"""

import ctypes
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gatewise.kernels.cpu import buffer_pool, workspace
from gatewise.kernels.cpu.dense import dense
from gatewise.kernels.cpu.interface import fields_of

LIBRARY = "libgatewise_python.so"
Shape = tuple[int, ...]


class Binding(NamedTuple):
    """The binding's functions, which take their arguments by position.

    Attributes:
        forward, backward: the two passes; see `gatewise.kernels.cpu.execution`.
        accepts: the weights, if x (T, B, I), or (B, I) or (I,) of a step, initial states, lengths, resets and weights
            are plain CPU tensors of one dtype and of matching shapes, given a dictionary of weights, their names and
            shapes, I, the widths of the states and L·D; else None.
        contention: the number of threads that calls are limited to while other programs use the processors, and how
            many times as long as one thread a team took.
        forget_contention: end that limit.
        keep_workspaces: free the workspaces that no call uses, and set how many are kept from now on; returns how many
            it was before.
        fields: the offset of each field of a call.
    """

    forward: Callable[..., Any]
    backward: Callable[..., Any]
    accepts: Callable[..., tuple[Tensor, ...] | None]
    contention: Callable[[], tuple[int, float]]
    forget_contention: Callable[[], None]
    keep_workspaces: Callable[[int], int]
    fields: dict[str, int]


@cache
def load(path: str) -> Binding:
    """The binding in this file.

    Raises:
        OSError: when it cannot be loaded, or torch has no DLPack exchange of version 1.
    """
    address = ctypes.pythonapi.PyCapsule_GetPointer
    address.restype, address.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    library = ctypes.PyDLL(path)
    bind = library.gatewise_bind
    bind.restype, bind.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.py_object]
    exchange = address(torch.Tensor.__dlpack_c_exchange_api__, b"dlpack_exchange_api")  # pyright: ignore[reportAttributeAccessIssue]
    objects = (
        None,
        Tensor,
        torch.nn.Parameter,
        Tensor.is_neg,
        torch.empty_like,
        Tensor.new_empty,
        dense,
        buffer_pool,
        workspace,
        torch.float32,
        torch.float64,
    )
    functions = bind(exchange, objects)
    if functions is None:
        raise OSError("torch's DLPack exchange is of another version; install gatewise again")
    loaded = Binding(*functions, fields=fields_of(library))
    loaded.keep_workspaces(workspace.KEPT)
    return loaded
