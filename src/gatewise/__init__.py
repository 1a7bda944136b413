"""Recurrent networks for PyTorch: cells as published equations, compiled to fast kernels.

The names below are loaded at first use, so that ``import gatewise`` costs next to nothing.
"""

import importlib
from typing import TYPE_CHECKING

__version__ = "0.1.0.dev0"

if TYPE_CHECKING:
    from gatewise import interchange as interchange
    from gatewise import runtime as runtime
    from gatewise.diagnostics import watch
    from gatewise.diagnostics.callback import Watch
    from gatewise.equations import Cell, DefinitionError, cell
    from gatewise.explanations import explain
    from gatewise.interchange import from_torch, replace, to_torch
    from gatewise.interchange.c import to_c
    from gatewise.interchange.flax import from_flax, to_flax
    from gatewise.interchange.keras import from_keras, to_keras
    from gatewise.interchange.onnx import from_onnx, to_onnx
    from gatewise.layers import (
        GRU,
        LSTM,
        RNN,
        TBPTT,
        BiGRU,
        BiLSTM,
        BiRNN,
        Clip,
        GRUCell,
        Init,
        LSTMCell,
        PeepholeLSTM,
        Recurrent,
        RNNCell,
        Stack,
        mask_seed,
    )
    from gatewise.studies.verbs import study
    from gatewise.tasks import evaluate, inspect, load, predict, train

_MODULES = {
    "gatewise.diagnostics": ("watch",),
    "gatewise.diagnostics.callback": ("Watch",),
    "gatewise.equations": ("Cell", "DefinitionError", "cell"),
    "gatewise.explanations": ("explain",),
    "gatewise.interchange.c": ("to_c",),
    "gatewise.interchange.flax": ("from_flax", "to_flax"),
    "gatewise.interchange.keras": ("from_keras", "to_keras"),
    "gatewise.interchange.onnx": ("from_onnx", "to_onnx"),
    "gatewise.interchange": ("from_torch", "replace", "to_torch"),
    "gatewise.layers": (
        "BiGRU",
        "BiLSTM",
        "BiRNN",
        "Clip",
        "GRU",
        "GRUCell",
        "Init",
        "LSTM",
        "LSTMCell",
        "PeepholeLSTM",
        "RNN",
        "RNNCell",
        "Recurrent",
        "Stack",
        "TBPTT",
        "mask_seed",
    ),
    "gatewise.studies.verbs": ("study",),
    "gatewise.tasks": ("evaluate", "inspect", "load", "predict", "train"),
}
_PACKAGES = ("interchange", "runtime")
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "TBPTT",
    "BiGRU",
    "BiLSTM",
    "BiRNN",
    "Cell",
    "Clip",
    "DefinitionError",
    "GRUCell",
    "Init",
    "LSTMCell",
    "PeepholeLSTM",
    "RNNCell",
    "Recurrent",
    "Stack",
    "Watch",
    "cell",
    "evaluate",
    "explain",
    "from_flax",
    "from_keras",
    "from_onnx",
    "from_torch",
    "inspect",
    "interchange",
    "load",
    "mask_seed",
    "predict",
    "replace",
    "runtime",
    "study",
    "to_c",
    "to_flax",
    "to_keras",
    "to_onnx",
    "to_torch",
    "train",
    "watch",
]


def __getattr__(name: str) -> object:
    if name in _PACKAGES:
        return importlib.import_module(f"gatewise.{name}")
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'gatewise' has no attribute {name!r}")
    if name == "Watch":
        from gatewise.extras import missing, placeholder

        if missing("tasks"):  # it is a class of Lightning's: `from gatewise import *` must work without
            return placeholder("gatewise.Watch", "tasks", "`watch` as a callback of Lightning.")
    return getattr(importlib.import_module(_MODULE_OF[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULE_OF, *_PACKAGES})
