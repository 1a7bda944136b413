"""A layer or a stack as a folder of C."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np
import torch
from torch import nn

from gatewise import runtime
from gatewise.interchange.c.building import build as build_library
from gatewise.interchange.c.description import Model
from gatewise.interchange.c.layers import model_of
from gatewise.interchange.c.quantising import in_precision
from gatewise.interchange.c.readme import as_json, facts_of, readme_of
from gatewise.interchange.c.sources import sources_of
from gatewise.interchange.c.weights import weights_file
from gatewise.kernels import IntegerPrecision
from gatewise.layers import Recurrent, Stack
from gatewise.writing import as_path, atomic_write, check_folder

_TOLERANCES: dict[IntegerPrecision | None, float] = {None: 1e-5, "int8": 0.05}


def check_difference(difference: float, precision: IntegerPrecision | None, what: str) -> None:
    """Check that a library computes what its model does, in the same precision.

    To rounding; that of 8-bit integers too, where a value halfway between two of them may become the other one.

    Raises:
        ValueError: when it does not.
    """
    if not difference <= _TOLERANCES[precision]:
        raise ValueError(f"the library differs from the {what} by {difference:.1e} on random input")


@dataclass(frozen=True)
class CExport:
    """What `to_c` has written; prints as lines.

    Attributes:
        path: the folder.
        library: the compiled library; None if it was not asked for.
        largest_difference: between the library and the module on random input, relative to values above 1.
    """

    path: Path
    library: Path | None = None
    largest_difference: float | None = None

    def __str__(self) -> str:
        if self.library is None:
            return f"written: {self.path}"
        size = self.library.stat().st_size
        error = f"largest error {self.largest_difference:.1e}, relative above 1"
        return f"written: {self.path}\n{self.library.name}: {size} bytes\nequal to the module on random input: {error}"


def to_c(
    module: nn.Module,
    path: "str | PathLike[str]",
    *,
    name: str = "model",
    build: bool = False,
    precision: IntegerPrecision | None = None,
) -> CExport:
    """Write a layer or a stack, with its weights, as a folder of C++ with a C interface; see :doc:`/c`.

    Args:
        module: a layer or a `Stack` of any cells.
        path: the folder to write; files of an earlier export are replaced.
        name: what names in C begin with, for programs with several models.
        build: compile the library, and compare it with the module.
        precision: ``"int8"`` for layers that multiply 8-bit integers, as frozen ones do (`Recurrent.frozen`), and have
            such integers as weights in the file; None for that of the weights.

    Returns:
        What was written.

    Raises:
        TypeError: for another module.
        ValueError: for a layer that cannot be exported, or not in that precision, a name that is none in C, or when the
            compiler fails.
        OSError: when the folder cannot be written.

    >>> import tempfile, gatewise
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = gatewise.to_c(gatewise.LSTM(3, 8), folder)
    ...     sorted(one.name for one in Path(folder).iterdir())  # doctest: +NORMALIZE_WHITESPACE
    ['CMakeLists.txt', 'README.md', 'main.c', 'model.cpp', 'model.h', 'model.json', 'source', 'weights.bin']
    """
    folder = as_path("path", path)
    check_folder(folder)
    write_folder(in_precision(model_of(module), precision), folder, name)
    if not build:
        return CExport(folder)
    library = build_library(folder, name)
    assert isinstance(module, Recurrent | Stack)
    return CExport(folder, library, _largest_difference(module, folder, precision))


def write_folder(
    model: Model, folder: Path, name: str = "model", *, more: Mapping[str, str] | None = None, further: str = ""
) -> None:
    """Write all files of a model.

    Args:
        model: the model.
        folder: the folder, which need not exist.
        name: what names in C begin with.
        more: further files, by their names.
        further: what its page says of these.

    Raises:
        ValueError: for a model that cannot be exported, or a name that is none in C.
        OSError: when it cannot be written.
    """
    texts = {
        **sources_of(model, name),
        f"{name}.json": as_json(facts_of(model, name)),
        "README.md": readme_of(model, name, sorted(more or {}), further),
        **(more or {}),
    }
    contents = {path: text.encode() for path, text in texts.items()} | {"weights.bin": weights_file(model)}
    for path, content in contents.items():
        to = folder / path
        os.makedirs(to.parent, exist_ok=True)
        with atomic_write(to) as file:
            file.write(content)


def _largest_difference(module: Recurrent | Stack, folder: Path, precision: IntegerPrecision | None) -> float:
    """Between the library of a folder and the module it was made of.

    Raises:
        ValueError: when it is more than rounding.
    """
    steps, rows = 7, 3
    parameter = next(module.parameters())
    x = torch.randn(steps, rows, module.input_size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x = x.to(parameter)
    was_training = module.training
    module.eval()
    try:
        with torch.no_grad(), module.frozen(precision=precision):
            given = x.transpose(0, 1) if module.batch_first else x
            called = module(given)
            expected = called[0] if isinstance(called, tuple) else called
    finally:
        module.train(was_training)
    assert isinstance(expected, torch.Tensor)
    if module.batch_first:
        expected = expected.transpose(0, 1)
    found = runtime.load(folder, max_batch=rows, chunk=steps).run(x.cpu().numpy())
    reference = expected.cpu().numpy()
    difference = float((np.abs(found - reference) / np.maximum(np.abs(reference), 1)).max())
    check_difference(difference, precision, "module")
    return difference
