"""Single layers from and to `torch.nn`. The parameters are the same objects on both sides."""

from collections.abc import Iterable
from typing import Any

from torch import nn
from torch.nn.modules.rnn import RNNBase, RNNCellBase
from torch.nn.utils.parametrize import is_parametrized

from gatewise.cells import lookup
from gatewise.compiler import without_bias
from gatewise.equations.normal_form import normal_form
from gatewise.layers import (
    GRU,
    LSTM,
    RNN,
    BiGRU,
    BiLSTM,
    BiRNN,
    GRUCell,
    LSTMCell,
    PeepholeLSTM,
    Recurrent,
    RNNCell,
)
from gatewise.layers.identity import TORCH_MODES, described, torch_mode

_OWN = (Recurrent, RNN, LSTM, GRU, PeepholeLSTM, BiRNN, BiLSTM, BiGRU, RNNCell, LSTMCell, GRUCell)
_STEP_CELLS = (RNNCell, LSTMCell, GRUCell)
_COUNTERPARTS: dict[type[nn.Module], type[Recurrent]] = {
    nn.RNN: RNN,
    nn.LSTM: LSTM,
    nn.GRU: GRU,
    nn.RNNCell: RNNCell,
    nn.LSTMCell: LSTMCell,
    nn.GRUCell: GRUCell,
}
# By the mode of torch.nn.RNNBase: torch's layer, its step, and their nonlinearity if they have that argument.
_OF_MODE: dict[str, tuple[type[nn.Module], type[nn.Module], dict[str, str]]] = {
    "RNN_TANH": (nn.RNN, nn.RNNCell, {"nonlinearity": "tanh"}),
    "RNN_RELU": (nn.RNN, nn.RNNCell, {"nonlinearity": "relu"}),
    "LSTM": (nn.LSTM, nn.LSTMCell, {}),
    "GRU": (nn.GRU, nn.GRUCell, {}),
}
_SIZES = ("input_size", "hidden_size", "bias")
_STACK = ("num_layers", "batch_first", "bidirectional")
# What torch.nn.Module calls at other times than its own; a replaced module would lose them.
_HOOKS = {
    "_forward_pre_hooks": "forward pre-hooks",
    "_forward_hooks": "forward hooks",
    "_backward_pre_hooks": "backward pre-hooks",
    "_backward_hooks": "backward hooks",
    "_state_dict_pre_hooks": "state_dict pre-hooks",
    "_state_dict_hooks": "state_dict hooks",
    "_load_state_dict_pre_hooks": "load_state_dict pre-hooks",
    "_load_state_dict_post_hooks": "load_state_dict post-hooks",
}


def is_recurrent(module: nn.Module) -> bool:
    """Whether a module is a recurrent layer or step of `torch.nn`, or derived from one."""
    return isinstance(module, (RNNBase, RNNCellBase))


def from_torch(module: nn.Module) -> Recurrent:
    """The layer that computes what a layer of `torch.nn` does, with the same Parameter objects.

    Args:
        module: a `torch.nn.RNN`, `LSTM`, `GRU`, `RNNCell`, `LSTMCell` or `GRUCell`.

    Returns:
        The layer of the same name, in the same mode (training or evaluation), on the same device. Parameters are
        shared with ``module``, not copied: an optimizer made before continues to work.

    Raises:
        TypeError: for another module.
        ValueError: for a subclass, hooks or parametrizations, which would be lost.

    >>> import torch, gatewise
    >>> of_torch = torch.nn.LSTM(3, 4, bidirectional=True)
    >>> layer = gatewise.from_torch(of_torch)
    >>> layer.weight_hh_l0 is of_torch.weight_hh_l0
    True
    """
    if not is_recurrent(module):
        raise TypeError(
            "from_torch: expected a torch.nn.RNN, LSTM, GRU, RNNCell, LSTMCell or GRUCell, got "
            f"{type(module).__name__}; gatewise.replace takes whole models"
        )
    if reason := refusal_from_torch(module):
        raise ValueError(f"from_torch: {reason}")
    return _moved(module, _own_like(module))


def to_torch(layer: Recurrent) -> nn.Module:
    """The layer of `torch.nn` that computes what a layer does, with the same Parameter objects.

    Args:
        layer: a layer of a cell that torch has: `RNN` (tanh, relu), `LSTM`, `GRU` (``variant="cudnn"``), their
            bidirectional forms with ``merge="concat"``, `RNNCell`, `LSTMCell` or `GRUCell`. Its ``backend`` and
            ``checkpoint_every`` have no counterpart and do not change what it computes.

    Raises:
        TypeError: for another module.
        ValueError: for what torch does not have, a subclass, hooks or parametrizations, which would be lost.

    >>> import torch, gatewise
    >>> gatewise.to_torch(gatewise.GRU(3, 4, num_layers=2))
    GRU(3, 4, num_layers=2)
    """
    if not isinstance(layer, Recurrent):
        raise TypeError(
            f"to_torch: expected a recurrent layer of gatewise, got {type(layer).__name__}; "
            "gatewise.replace(model, to='torch') takes whole models"
        )
    if reason := refusal_to_torch(layer):
        raise ValueError(f"to_torch: {reason}")
    return _moved(layer, _of_torch_like(layer))


def refusal_from_torch(module: nn.Module) -> str | None:
    """Why there is no layer of ours for a recurrent module of torch; None if there is."""
    if type(module) not in _COUNTERPARTS:
        return _derived(module)
    return _changed(module, _own_like(module))


def refusal_to_torch(layer: Recurrent) -> str | None:
    """Why torch has no layer for one of ours; None if it has."""
    if type(layer) not in _OWN:
        return _derived(layer)
    if torch_mode(layer.cell) is None:
        return _without_counterpart(layer)
    if layer.regularisation:
        return f"it has {layer.regularisation}, and torch.nn drops units between layers alone"
    if layer.merge != "concat":
        return f"it merges its directions with merge={layer.merge!r}, and torch.nn concatenates them"
    if layer.reverse:
        return "it has reverse=True, and torch.nn reads from the end only beside the forward direction"
    if not layer.return_state:
        return "it has return_state=False, and those of torch.nn return (output, state)"
    if layer.return_states:
        return "it has return_states=True, and those of torch.nn return the last states alone"
    return _changed(layer, _of_torch_like(layer))


def _without_counterpart(layer: Recurrent) -> str:
    form = normal_form(layer.cell)
    for name, mode in TORCH_MODES.items():
        cell = lookup(name)
        if layer.cell.gates != cell.gates and form in (normal_form(cell), normal_form(without_bias(cell))):
            return (
                f"its gates are stacked in the order {' '.join(layer.cell.gates)}, those of torch.nn.{mode} in the "
                f"order {' '.join(cell.gates)}; load its state_dict into a layer of the cell {name}, which reorders "
                "them by name"
            )
    return f"torch.nn does not have its cell, {described(layer.cell)}"


def _own_like(module: Any) -> Recurrent:
    """Our layer for one of torch, without memory for parameters."""
    options = {"nonlinearity": module.nonlinearity} if isinstance(module, (nn.RNN, nn.RNNCell)) else {}
    return _like(_COUNTERPARTS[type(module)], module, options)


def _of_torch_like(layer: Recurrent) -> nn.Module:
    """Torch's layer for one of ours, without memory for parameters."""
    mode = torch_mode(layer.cell)
    assert mode is not None
    of_sequences, of_steps, options = _OF_MODE[mode]
    return _like(of_steps if isinstance(layer, _STEP_CELLS) else of_sequences, layer, options)


def _like(kind: Any, module: Any, options: dict[str, str]) -> Any:
    steps = issubclass(kind, (RNNCellBase, *_STEP_CELLS))
    sizes = {name: getattr(module, name) for name in (*_SIZES, *(() if steps else _STACK))}
    if size := getattr(module, "proj_size", 0):
        sizes["proj_size"] = size
    made = kind(**sizes, **options, device="meta")
    if not steps:
        made.dropout = module.dropout  # afterwards: the constructors warn where it has no effect
    return made


def _moved(module: nn.Module, target: Any) -> Any:
    """The target with the parameters, the mode and the users' own attributes of a module."""
    for name, parameter in module.named_parameters(recurse=False, remove_duplicate=False):
        setattr(target, name, parameter)
    usual = vars(_pristine(module))
    for name, value in vars(module).items():
        if name not in usual and not hasattr(type(module), name):
            setattr(target, name, value)
    return target.train(module.training)


def _pristine(module: Any) -> nn.Module:
    """A module as its constructor makes it."""
    make: Any = type(module)
    if make is Recurrent:
        return Recurrent(module.cell, 1, 2, device="meta", proj_size=int(module.cell.projected))
    sizes: tuple[Any, ...] = (1, 1)
    return make(*sizes, device="meta")


def _derived(module: nn.Module) -> str:
    """What a module of another class than the plain ones is."""
    if is_parametrized(module):
        names: Any = module.parametrizations
        return f"its {_listed(names.keys())} are parametrized; call torch.nn.utils.parametrize.remove_parametrizations"
    plain = next((base for base in type(module).__mro__[1:] if base in _COUNTERPARTS or base in _OWN), None)
    of = "" if plain is None else f", a subclass of {_name(plain)}"
    return f"it is of the class {_name(type(module))}{of}, whose own code would be lost"


def _changed(module: nn.Module, target: nn.Module) -> str | None:
    """What of a module its counterpart would lose; None if nothing."""
    for attribute, kind in _HOOKS.items():
        if hooks := getattr(module, attribute):
            names = [getattr(hook, "__qualname__", type(hook).__name__) for hook in hooks.values()]
            return f"it has {kind} ({_listed(names)}), which would be lost; remove them, and register them again after"
    replaced = [name for name in vars(module) if callable(getattr(type(module), name, None))]
    if getattr(module, "_compiled_call_impl", None) is not None:
        replaced.append("compile()")
    if replaced:
        return f"its {_listed(replaced)} was replaced on the instance, which would be lost"
    own = {name for name, value in module.named_parameters(recurse=False, remove_duplicate=False)}
    others = {name for name, value in (*module.named_buffers(), *module.named_children())}
    expected = {name for name, value in target.named_parameters(recurse=False, remove_duplicate=False)}
    if own != expected or others:
        changed = sorted((own ^ expected) | others)
        return f"its parameters are not those of {_name(type(module))} ({_listed(changed)} added or missing)"
    return None


def _name(kind: type) -> str:
    module = "torch.nn" if kind in _COUNTERPARTS else "gatewise" if kind in _OWN else kind.__module__
    return f"{module}.{kind.__qualname__}"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
