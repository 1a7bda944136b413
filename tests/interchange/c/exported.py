"""Layers that the tests export, each compiled once in a run of the tests."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch

import gatewise
from gatewise.compiler.build import BuildError, find_compiler
from gatewise.interchange.c.building import build
from gatewise.interchange.c.exporting import write_folder
from gatewise.interchange.c.layers import model_of
from tests.user_cells import masked

WIDTH = 5
Made = TypeVar("Made")


def compiler() -> list[str] | None:
    """The command of the C++ compiler, if there is one."""
    try:
        return list(find_compiler(os.environ.get("CXX") or None).command)
    except BuildError:
        return None


def streamed() -> gatewise.Stack:
    """One direction, of a user's cell whose masks act in evaluation, two layers in one, and a cell with a prologue."""
    layers = [
        gatewise.Recurrent(masked, WIDTH, 7, rates={"h": 0.2, "n": 0.3, "kept_h": 0.1, "kept_c": 0.4}),
        gatewise.GRU(7, 19, num_layers=2, bias="single"),
        gatewise.PeepholeLSTM(19, 6, masked_output="repeat"),
    ]
    return gatewise.Stack(layers)


def both_directions() -> gatewise.Stack:
    """Both directions and the other one alone, merged in the other ways, in float64."""
    layers = [
        gatewise.BiLSTM(WIDTH, 9, merge="learned", init="torch"),
        gatewise.BiGRU(9, 4, merge="mul"),
        gatewise.RNN(4, 4, reverse=True),
        gatewise.Recurrent("lstm_layer_norm", 4, 17, bidirectional=True, merge="learned", init="torch"),
    ]
    return gatewise.Stack(layers).double()


def exported(make: Callable[[], gatewise.Stack]) -> tuple[gatewise.Stack, Path]:
    """A stack, and the folder of its library."""
    torch.manual_seed(0)
    module = make().eval().requires_grad_(False)
    return module, compiled(make.__name__, lambda folder: write_folder(model_of(module), folder, "net"))


def compiled(label: str, write: Callable[[Path], None], name: str = "net") -> Path:
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
            build(folder, name, options=("-O1",), sets=("plain",))
        finally:
            done.touch()
    return folder
