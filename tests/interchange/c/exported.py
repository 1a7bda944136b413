"""Layers that the tests export, each compiled once in a run of the tests."""

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import torch

import gatewise
from gatewise.compiler.build import BuildError, find_compiler
from gatewise.interchange.c.building import build
from gatewise.interchange.c.exporting import write_folder
from gatewise.interchange.c.layers import model_of
from gatewise.interchange.c.quantising import in_precision
from gatewise.kernels import Precision
from gatewise.kernels.cpu.library import engine
from tests.user_cells import hoisted, masked

WIDTH = 5
Made = TypeVar("Made")


def compiler() -> list[str] | None:
    """The command of the C++ compiler, if there is one."""
    try:
        return list(find_compiler(os.environ.get("CXX") or None).command)
    except BuildError:
        return None


def streamed() -> gatewise.Stack:
    """One direction: a user's cell whose masks act in evaluation, two layers in one, a projection, heads."""
    layers = [
        gatewise.Recurrent(masked, WIDTH, 7, rates={"h": 0.2, "n": 0.3, "kept_h": 0.1, "kept_c": 0.4}),
        gatewise.GRU(7, 19, num_layers=2, bias="single"),
        gatewise.Recurrent("slstm", 19, 12, heads=3),
        gatewise.PeepholeLSTM(12, 9, proj_size=6, masked_output="repeat"),
    ]
    return gatewise.Stack(layers)


def both_directions() -> gatewise.Stack:
    """Both directions, one of them of projections, and the other one alone, merged in the other ways, in float64."""
    layers = [
        gatewise.BiLSTM(WIDTH, 11, proj_size=9, merge="learned", init="torch"),
        gatewise.BiGRU(9, 4, merge="mul"),
        gatewise.RNN(4, 4, reverse=True),
        gatewise.Recurrent("lstm_layer_norm", 4, 17, bidirectional=True, merge="learned", init="torch"),
    ]
    return gatewise.Stack(layers).double()


def narrow() -> gatewise.Stack:
    """Cells of both kinds of products with x, and one whose prologue reads weights that the loop reads too."""
    layers = [
        gatewise.Recurrent(masked, WIDTH, 7, rates={"h": 0.2, "n": 0.3, "kept_h": 0.1, "kept_c": 0.4}),
        gatewise.GRU(7, 19, num_layers=2, bias="single", bidirectional=True),
        gatewise.Recurrent(hoisted, 38, 33),
        gatewise.PeepholeLSTM(33, 9, proj_size=6, masked_output="repeat", reverse=True),
    ]
    return gatewise.Stack(layers)


def exported(make: Callable[[], gatewise.Stack], precision: Precision | None = None) -> tuple[gatewise.Stack, Path]:
    """A stack, and the folder of its library.

    In 8-bit integers it is compiled as for users, so that its elementwise work has the bits of the engine's.
    """
    torch.manual_seed(0)
    module = make().eval().requires_grad_(False)
    if precision is None:
        return module, compiled(make.__name__, lambda folder: write_folder(model_of(module), folder, "net"))
    module = module.float()
    model = in_precision(model_of(module), precision)
    label = f"{make.__name__}-{precision}"
    sets = (engine().instruction_set,)
    return module, compiled(label, lambda folder: write_folder(model, folder, "net"), options=(), sets=sets)


def compiled(
    label: str,
    write: Callable[[Path], None],
    name: str = "net",
    *,
    options: Sequence[str] = ("-O1",),
    sets: Sequence[str] = ("plain",),
) -> Path:
    """The folder that has been written and compiled under a label, by the first process of the run that asks for it."""
    folder = Path(os.environ["GATEWISE_CACHE"]) / f"c-{label}"
    done = folder / "done"
    try:
        folder.mkdir()
    except FileExistsError:
        while not done.exists():
            time.sleep(0.1)
    else:
        try:
            write(folder)
            build(folder, name, options=options, sets=sets)
        finally:
            done.touch()
    return folder
