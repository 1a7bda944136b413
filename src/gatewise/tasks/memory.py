"""The memory that training needs at least, estimated before any of it is allocated."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar

import torch
from torch import nn

from gatewise.formatting import format_bytes
from gatewise.kernels.cpu.control_groups import control_groups, words_of
from gatewise.layers import Recurrent
from gatewise.models.language_model import LanguageModel
from gatewise.models.sequence_to_sequence import SequenceToSequence
from gatewise.tasks import world
from gatewise.tasks.cells import cell_of
from gatewise.tasks.checkpoint_io import check_described
from gatewise.tasks.run_folder import RunFolder
from gatewise.tasks.state_file import read_state_shapes
from gatewise.tasks.training_options import TrainingOptions

Model = TypeVar("Model", bound=nn.Module)

# The optimiser's own copies of every parameter, with torch's default settings.
_OPTIMIZER_STATES = {"sgd": 0, "adam": 2, "adamw": 2, "rmsprop": 1}
_UNLIMITED = 2**60  # what version 1 of control groups writes is nearly 2**63


class RequiredMemory(NamedTuple):
    """What training needs at least, in bytes: on a GPU, or of all processes that share this machine's memory.

    Attributes:
        parameters: the parameters, their gradients and the optimiser's states.
        batch: what the recurrent layers and a read-out keep of the largest batch for the backward pass.
    """

    parameters: int
    batch: int


def required_memory(model: nn.Module, options: TrainingOptions, most_steps: int = 0) -> RequiredMemory:
    """What a model needs, which may be on the device "meta".

    Args:
        model: the model.
        options: of its training.
        most_steps: steps times sequences of the largest batch, or of this process's part of it.
    """
    size = 8 if options.precision == "64" else 4
    count = sum(parameter.numel() for parameter in model.parameters())
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    kept = sum(
        parameter.shape[0]
        for layer in _layers_over_tokens(model)
        for name, parameter in layer.named_parameters()
        if name.startswith("weight_ih")
    )
    if isinstance(model, SequenceToSequence):
        kept //= 2  # the steps of a batch are those of sources and targets together
    if isinstance(model, LanguageModel):
        kept += 2 * len(model.b_y)  # the scores of all tokens, and their gradient
    # All of them have a copy of the model.
    size *= 1 if _on_gpu(options.device) else world.local_size()
    return RequiredMemory(
        size * (count + (1 + _OPTIMIZER_STATES[options.optimizer]) * trained), size * most_steps * kept
    )


def make_checked(make: Callable[[], Model], options: TrainingOptions, folder: RunFolder | None) -> Model:
    """The model that a function makes, with the initial weights of the seed, if it can be trained in memory.

    Args:
        make: makes the model.
        options: of its training.
        folder: the run to resume, if any; what it saved must be of this model.

    Raises:
        ValueError: when it cannot, or is not.
    """
    if folder is not None and folder.state.exists():
        check_described(folder.config, options, make, folder.state, read_state_shapes(folder.state))
    with torch.device("meta"):
        plan = make()
    check_fits(plan, required_memory(plan, options), options)
    torch.manual_seed(options.seed)
    return make()


def check_recurrent_fits(options: TrainingOptions) -> None:
    """Check the recurrent layers alone, which is possible before any data is read.

    Raises:
        ValueError: when they cannot be trained in memory.
    """
    with torch.device("meta"):
        layer = Recurrent(cell_of(options.cell), 1, options.hidden)
    check_fits(layer, RequiredMemory(options.layers * required_memory(layer, options).parameters, 0), options)


def check_fits(model: nn.Module, need: RequiredMemory, options: TrainingOptions) -> None:
    """Check that there is memory for what a model needs.

    Raises:
        ValueError: when that exceeds what the machine, or the GPU that is asked for, has in all.
    """
    limit, where = memory_limit(options.device)
    if sum(need) <= limit:
        return
    of_batch = f", {format_bytes(need.batch)} for the largest batch" if need.batch else ""
    name, largest = max(model.named_parameters(), key=lambda named: named[1].numel())
    raise ValueError(
        f"training needs at least {format_bytes(sum(need))} of memory ({format_bytes(need.parameters)} for parameters, "
        f"gradients and the optimiser {options.optimizer}{of_batch}), and {where} has {format_bytes(limit)}; the "
        f"largest parameter is {name} ({' x '.join(map(str, largest.shape))}; hidden is {options.hidden}, layers "
        f"{options.layers}); try smaller sizes{' or a smaller batch' if of_batch else ''}"
    )


def memory_limit(device: str = "cpu") -> tuple[float, str]:
    """The memory that training may use in all, in bytes, and where, for people."""
    if _on_gpu(device):
        return torch.cuda.get_device_properties(0).total_memory, "the GPU"
    return min(min(_physical_memory(), *_control_group_limits()) + _swap_space(), _address_space()), "this machine"


def _on_gpu(device: str) -> bool:
    return device != "cpu" and torch.cuda.is_available()


def _layers_over_tokens(model: nn.Module) -> Iterator[Recurrent]:
    """The recurrent layers, but those over the characters of spellings, which have other steps."""
    for name, module in model.named_modules():
        if isinstance(module, Recurrent) and "spelling" not in name.split("."):
            yield module


def _physical_memory() -> float:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        return float("inf")


def _swap_space(root: Path = Path("/")) -> float:
    try:
        lines = (root / "proc/meminfo").read_text().splitlines()
    except OSError:
        return 0
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith("SwapTotal:"))


def _control_group_limits(root: Path = Path("/")) -> list[float]:
    """What control groups grant the process."""
    files = ("memory.max", "memory.limit_in_bytes")
    folders = control_groups("memory", root)
    words = [word for folder in folders for name in files for word in words_of(folder / name)]
    limits = [int(word) for word in words if word.isdecimal()]
    return [limit for limit in limits if limit < _UNLIMITED] or [float("inf")]


def _address_space() -> float:
    if os.name != "posix":
        return float("inf")
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    return float("inf") if limit == resource.RLIM_INFINITY else limit
