"""Initial weights of recurrent layers, by scheme.

| scheme     | input weights   | recurrent weights | biases              | paper                                   |
|------------|-----------------|-------------------|---------------------|-----------------------------------------|
| torch      | uniform ±1/√H   | uniform ±1/√H     | uniform ±1/√H       | `torch.nn`: same values for a seed      |
| default    | Xavier          | orthogonal        | 0, forget gate 1    | the two below; Jozefowicz et al. 2015   |
| xavier     | Xavier          | Xavier            | 0                   | Glorot & Bengio 2010                    |
| he         | He              | He                | 0                   | He et al. 2015, arXiv:1502.01852        |
| orthogonal | orthogonal      | orthogonal        | 0                   | Saxe et al. 2013, arXiv:1312.6120       |
| identity   | normal, σ 0.001 | identity          | 0                   | Le et al. 2015, arXiv:1504.00941 (IRNN) |

Matrices are drawn gate by gate, and head by head where they are divided into heads, that of a projection as a
recurrent one. Vectors that are not biases (peepholes) are uniform in ±1/√H in every scheme. The forget gate is the gate
that keeps a state while another admits new values, whatever its name.

With any scheme `Init` can set the biases that determine how long a state lasts: to a value, or by chrono initialisation
(Tallec & Ollivier 2018, arXiv:1804.11188).
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor
from torch.nn import init

from gatewise.equations import Cell, Parameter
from gatewise.equations.retention import biases_of, check_retention_biases, retention_gates
from gatewise.layers.keywords import did_you_mean

BIASES = ("b", "d")


def _he(block: Tensor) -> None:
    init.kaiming_uniform_(block, nonlinearity="relu")


def _small(block: Tensor) -> None:
    init.normal_(block, std=0.001)


_INPUT: dict[str, Callable[[Tensor], object]] = {
    "default": init.xavier_uniform_,
    "xavier": init.xavier_uniform_,
    "he": _he,
    "orthogonal": init.orthogonal_,
    "identity": _small,
}
_RECURRENT: dict[str, Callable[[Tensor], object]] = {
    "default": init.orthogonal_,
    "xavier": init.xavier_uniform_,
    "he": _he,
    "orthogonal": init.orthogonal_,
    "identity": init.eye_,
}
Scheme: TypeAlias = Literal["default", "torch", "xavier", "he", "orthogonal", "identity"]
SCHEMES = ("torch", *_INPUT)


@dataclass(frozen=True)
class Init:
    """A scheme of initial weights, with biases that determine how long a state lasts.

    The gate that keeps the state is the forget gate of an LSTM and the update gate of a GRU. A unit whose gate has the
    value a keeps the fraction a of its state in every step, so its state lasts about 1/(1 − a) steps.

    Args:
        scheme: the scheme for all other weights: ``default``, ``torch``, ``xavier``, ``he``, ``orthogonal`` or
            ``identity``.
        forget_bias: the bias β of the gate that keeps the state: initially a = σ(β), and states last about
            1 + exp(β) steps. If the gate's value is the fraction that is replaced (the update gate of
            ``gru_chung2014``), its bias is −β.
        chrono: T_max, the longest span in steps that the network should remember. Each unit's β is drawn from
            log U[1, T_max − 1], and the bias of an LSTM's input gate is −β, so the units cover all spans up to it.

    Raises:
        ValueError, TypeError: for an unknown scheme, a bias that is not finite, a span below 2, or both of them.

    >>> import gatewise
    >>> layer = gatewise.LSTM(3, 4, init=gatewise.Init(forget_bias=3.0))
    >>> layer.bias_ih_l0[4:8] + layer.bias_hh_l0[4:8]
    tensor([3., 3., 3., 3.], grad_fn=<AddBackward0>)
    """

    scheme: Scheme = "default"
    forget_bias: float | None = None
    chrono: int | None = None

    def __post_init__(self) -> None:
        if self.scheme not in SCHEMES:
            hint = "; it needs the longest span: init=gatewise.Init(chrono=T_max)" if self.scheme == "chrono" else ""
            hint = hint or did_you_mean(self.scheme, SCHEMES)
            raise ValueError(f"init: expected one of {', '.join(SCHEMES)}, got {self.scheme!r}{hint}")
        if self.forget_bias is not None and self.chrono is not None:
            raise ValueError("forget_bias and chrono exclude each other: chrono draws the biases of all units")
        if self.forget_bias is not None:
            if isinstance(self.forget_bias, bool) or not isinstance(self.forget_bias, int | float):
                raise TypeError(f"forget_bias: expected a number, got {self.forget_bias!r}")
            if not math.isfinite(self.forget_bias):
                raise ValueError(f"forget_bias: expected a finite number, got {self.forget_bias}")
        if self.chrono is not None:
            if isinstance(self.chrono, bool) or not isinstance(self.chrono, int):
                raise TypeError(f"chrono: expected a number of steps, got {self.chrono!r}")
            if self.chrono < 2:
                raise ValueError(f"chrono: expected at least 2 steps, got {self.chrono}")

    @property
    def sets_biases(self) -> bool:
        """Whether it sets the biases that determine how long a state lasts."""
        return self.forget_bias is not None or self.chrono is not None

    def check_cell(self, cell: Cell) -> None:
        """Raise a ValueError if it sets biases that the cell does not have."""
        if self.sets_biases:
            check_retention_biases(cell, "forget_bias" if self.chrono is None else "chrono")


def as_init(given: Scheme | Init) -> Init:
    """The `Init` of a scheme given by name or as an `Init`.

    Raises:
        ValueError, TypeError: for anything else.
    """
    if not isinstance(given, str | Init):
        raise TypeError(f"init: expected the name of a scheme or a gatewise.Init, got {type(given).__name__}")
    return Init(given) if isinstance(given, str) else given


@torch.no_grad()
def initialise(given: Scheme | Init, cell: Cell, group: str, tensor: Tensor, hidden_size: int) -> None:
    """Fill a group's stacked tensor.

    Args:
        given: one of `SCHEMES`, or an `Init`.
        cell: the cell of the group.
        group: the name of the group.
        tensor: its tensor, of shape `Cell.parameter_shape`; written in place.
        hidden_size: H.
    """
    chosen = as_init(given)
    scheme = chosen.scheme
    kind = cell.shape_of(group)
    is_bias = kind == "vector" and group in BIASES
    if scheme == "torch" or (kind == "vector" and not is_bias):
        uniform_by_width(tensor, hidden_size)
    elif is_bias:
        tensor.zero_()
        if scheme == "default":
            separate = {gate.name for gate in retention_gates(cell) if gate.sign > 0 and gate.input_gates}
            for gate, block in _blocks(cell, group, tensor):
                if group == "b" and gate in separate:
                    block.fill_(1.0)
    else:
        # Orthogonal matrices use a QR decomposition, which half precision lacks.
        has_qr = tensor.dtype in (torch.float32, torch.float64)
        exact = tensor if has_qr else torch.empty_like(tensor, dtype=torch.float32)
        heads = hidden_size // exact.shape[1] if group in cell.heads else 1
        for _, block in _blocks(cell, group, exact):
            for of_head in block.chunk(heads):
                (_INPUT if kind == "input" else _RECURRENT)[scheme](of_head)
        if exact is not tensor:
            tensor.copy_(exact)
    if scheme != "torch" or (kind == "vector" and not is_bias):  # torch's own vectors are the biases
        blocks = dict(_blocks(cell, group, tensor))
        for block, value in cell.initial:
            if block.group == group:
                blocks[block.gate].fill_(value)
    set_retention_biases(chosen, cell, group, tensor, hidden_size)


@torch.no_grad()
def set_retention_biases(chosen: Init, cell: Cell, group: str, tensor: Tensor, hidden_size: int) -> None:
    """Set the biases in a group that determine how long states last, if requested; arguments as `initialise`."""
    if not chosen.sets_biases:
        return
    blocks = dict(_blocks(cell, group, tensor))
    for gate in retention_gates(cell):
        concerned: list[str] = []
        for name in (gate.name, *(gate.input_gates if chosen.chrono is not None else ())):
            first, *others = (*biases_of(cell, name), None)
            if first == Parameter(group, name):
                concerned.append(name)
            elif Parameter(group, name) in others:
                blocks[name].zero_()  # it adds to the first
        if not concerned:
            continue
        if chosen.chrono is None:
            assert chosen.forget_bias is not None
            bias = torch.full((hidden_size,), float(chosen.forget_bias), device=tensor.device)
        else:
            bias = torch.empty(hidden_size, device=tensor.device).uniform_(1, chosen.chrono - 1).log()
        for name in concerned:
            blocks[name].copy_(bias * (gate.sign if name == gate.name else -1))


def _blocks(cell: Cell, group: str, tensor: Tensor) -> Iterator[tuple[str | None, Tensor]]:
    gates = cell.gates_of(group)
    return zip(gates, tensor.chunk(len(gates)), strict=True)


def uniform_by_width(tensor: Tensor, hidden_size: int) -> None:
    """Fill uniformly in ±1/√H, as `torch.nn`'s recurrent layers do."""
    bound = 1.0 / math.sqrt(hidden_size)
    init.uniform_(tensor, -bound, bound)
