"""The recurrent layers of a whole model, from and to `torch.nn`."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from torch import jit, nn

from gatewise.interchange.torch_layers import (
    from_torch,
    is_recurrent,
    refusal_from_torch,
    refusal_to_torch,
    to_torch,
)
from gatewise.layers import Recurrent, Stack


@dataclass(frozen=True)
class Replacement:
    """What `replace` did.

    Attributes:
        model: the model; another object than was passed only if that was a recurrent layer itself.
        replaced: by the path of each replaced layer, what it was and what it is now.
        kept: by the path of each recurrent layer that was left as it is, the reason.
    """

    model: nn.Module
    replaced: dict[str, str]
    kept: dict[str, str]

    def __str__(self) -> str:
        lines = [f"{path or '(the model itself)'}: {what}" for path, what in self.replaced.items()]
        lines += [f"{path or '(the model itself)'}: not replaced: {why}" for path, why in self.kept.items()]
        return "\n".join(lines) or "no recurrent layers found"


@dataclass(frozen=True)
class _Direction:
    concerns: Callable[[Any], bool]
    refusal: Callable[[Any], str | None]
    make: Callable[[Any], nn.Module]


_DIRECTIONS = {
    "gatewise": _Direction(is_recurrent, refusal_from_torch, from_torch),
    "torch": _Direction(lambda module: isinstance(module, Recurrent), refusal_to_torch, to_torch),
}
_IN_STACK = "it is a layer of a gatewise.Stack, which takes no other layers"
_SCRIPTED = ("RNN", "LSTM", "GRU", "RNNCell", "LSTMCell", "GRUCell")


def replace(model: nn.Module, *, to: Literal["gatewise", "torch"] = "gatewise", strict: bool = True) -> Replacement:
    """Replace the recurrent layers of a model in place: those of `torch.nn` by ours, or back.

    The same Parameter objects move, so an optimizer made before continues to work, and tied parameters stay tied; a
    layer in several places of the model stays one. Mode, ``requires_grad``, device, dtype and the keys of the state
    dict do not change.

    Args:
        model: the model.
        to: ``gatewise``, or ``torch`` for the way back.
        strict: whether to raise an error where a recurrent layer cannot be replaced; otherwise it is left as it is, and
            the result says why.

    Returns:
        The model, and which layers were replaced and which were not.

    Raises:
        ValueError: naming the path of each layer that cannot be replaced: what the other side does not have (a
            cell that torch lacks), and what would be lost (the code of a subclass, hooks,
            parametrizations). The model is then unchanged.

    >>> import torch, gatewise
    >>> model = torch.nn.ModuleDict({"encoder": torch.nn.LSTM(3, 4), "head": torch.nn.Linear(4, 2)})
    >>> print(gatewise.replace(model))
    encoder: torch.nn.LSTM → gatewise.LSTM
    >>> print(gatewise.replace(model, to="torch"))
    encoder: gatewise.LSTM → torch.nn.LSTM
    """
    if to not in _DIRECTIONS:
        raise ValueError(f"to: expected 'gatewise' or 'torch', got {to!r}")
    if not isinstance(model, nn.Module):
        raise TypeError(f"model: expected a torch.nn.Module, got {type(model).__name__}")
    direction = _DIRECTIONS[to]
    found = list(_recurrent(model, direction.concerns))
    stacked = {layer for stack in model.modules() if isinstance(stack, Stack) for layer in stack}
    kept = {
        path: reason
        for path, module in found
        if (reason := _IN_STACK if module in stacked else _reason(module, direction))
    }
    if kept and strict:
        reasons = "; ".join(f"{path or 'the model itself'}: {reason}" for path, reason in kept.items())
        raise ValueError(f"model: cannot be replaced whole (strict=False leaves these as they are): {reasons}")
    made: dict[nn.Module, nn.Module] = {}
    replaced: dict[str, str] = {}
    for path, module in found:
        if path in kept:
            continue
        if module not in made:
            made[module] = direction.make(module)
        replaced[path] = f"{_named(module)} → {_named(made[module])}"
        if path:
            model.set_submodule(path, made[module])
    return Replacement(made.get(model, model), replaced, kept)


def _recurrent(model: nn.Module, concerns: Callable[[Any], bool]) -> Iterator[tuple[str, nn.Module]]:
    """The recurrent layers, at every path that they have."""
    for path, module in model.named_modules(remove_duplicate=False):
        if concerns(module) or (isinstance(module, jit.ScriptModule) and module.original_name in _SCRIPTED):
            yield path, module


def _reason(module: nn.Module, direction: _Direction) -> str | None:
    if isinstance(module, jit.ScriptModule):
        return "it is compiled by TorchScript; replace it in the model that was scripted"
    return direction.refusal(module)


def _named(module: nn.Module) -> str:
    return f"{'gatewise' if isinstance(module, Recurrent) else 'torch.nn'}.{type(module).__name__}"
