"""The base of a recurrent layer: checked options, parameters, packed weights."""

import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self, get_args

import torch
from torch import Tensor

from gatewise.cells import lookup
from gatewise.compiler import with_single_bias, without_bias
from gatewise.equations import Cell
from gatewise.kernels import Directions, PackedWeights, Precision, check_backend_name
from gatewise.kernels.masks import Masks
from gatewise.layers.identity import reorder_gates, stored_gates, write_identity
from gatewise.layers.initialisers import Init, Scheme, as_init
from gatewise.layers.keywords import did_you_mean, with_known_keywords
from gatewise.layers.mask_seeds import seed_and_step
from gatewise.layers.merging import check_merge
from gatewise.layers.options import (
    BackendName,
    Bias,
    CheckpointEvery,
    Device,
    MaskedOutput,
    MaskRates,
    Merge,
    Zoneout,
)
from gatewise.layers.parameters import Parameters
from gatewise.layers.regularisation import Regularisation, check_probability

MASKED_OUTPUTS = ("zero", "repeat")


class RecurrentBase(Parameters):
    """The options and parameters of a `Recurrent`, which documents the arguments."""

    # Inside `frozen`: one per layer, and last one for the whole stack.
    _packed: list[PackedWeights] | None = None
    _generation = 0  # of the weights that streams have packed

    @with_known_keywords
    def __init__(
        self,
        cell: Cell | str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: Bias = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        merge: Merge = "concat",
        reverse: bool = False,
        masked_output: MaskedOutput = "zero",
        return_state: bool = True,
        return_states: bool = False,
        init: Scheme | Init = "default",
        backend: BackendName = "auto",
        checkpoint_every: CheckpointEvery = None,
        recurrent_dropout: float = 0.0,
        variational: float = 0.0,
        zoneout: Zoneout = 0.0,
        weight_drop: float = 0.0,
        rates: MaskRates = None,
        proj_size: int = 0,
        heads: int = 1,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        if isinstance(cell, str):
            cell = lookup(cell)
        if not isinstance(cell, Cell):
            raise TypeError(f"cell: expected a Cell (made by @gatewise.cell) or a name, got {type(cell).__name__}")
        sizes = {"input_size": input_size, "hidden_size": hidden_size, "num_layers": num_layers}
        if isinstance(checkpoint_every, str) and checkpoint_every != "auto":
            raise ValueError(f"checkpoint_every: expected a number of steps, 'auto' or None, got {checkpoint_every!r}")
        if checkpoint_every is not None and checkpoint_every != "auto":
            sizes["checkpoint_every"] = checkpoint_every
        for name, size in sizes.items():
            if not isinstance(size, int) or isinstance(size, bool):
                raise TypeError(f"{name}: expected an int, got {type(size).__name__} ({size!r})")
            if size < 1:
                raise ValueError(f"{name}: expected at least 1, got {size}")
        flags = {
            "batch_first": batch_first,
            "bidirectional": bidirectional,
            "reverse": reverse,
            "return_state": return_state,
            "return_states": return_states,
        }
        for name, flag in flags.items():
            if not isinstance(flag, bool):
                raise TypeError(f"{name}: expected True or False, got {flag!r}")
        if not isinstance(bias, bool) and bias != "single":
            raise TypeError(f"bias: expected True, False or 'single', got {bias!r}")
        if reverse and bidirectional:
            raise ValueError("reverse: bidirectional=True reads both directions; pass one of the two")
        if return_states and not return_state:
            raise ValueError("return_states: return_state=False returns the output alone; pass one of the two")
        if masked_output not in MASKED_OUTPUTS:
            near = did_you_mean(masked_output, MASKED_OUTPUTS)
            raise ValueError(f"masked_output: expected 'zero' or 'repeat', got {masked_output!r}{near}")
        check_probability("dropout", dropout)
        if dropout > 0 and num_layers == 1:
            warnings.warn(
                f"dropout: {dropout} acts between layers and there is only one, so it does nothing; "
                "use num_layers of 2 or more, or put an nn.Dropout after the layer",
                stacklevel=_stack_level(),
            )
        check_merge(merge, bidirectional)
        check_backend_name(backend)
        _check_placement(device, dtype)
        _check_projection(cell, proj_size, hidden_size)
        _check_heads(cell, heads, hidden_size)
        cell = cell if bias is True else with_single_bias(cell) if bias else without_bias(cell)
        as_init(init).check_cell(cell)
        check_probability("weight_drop", weight_drop)
        regularised = bool(cell.masks or rates or recurrent_dropout or variational or zoneout)
        made = Regularisation(cell, rates, recurrent_dropout, variational, zoneout) if regularised else None
        super().__init__(
            cell,
            input_size,
            hidden_size,
            num_layers,
            bias,
            bidirectional,
            merge,
            init,
            device,
            dtype,
            proj_size,
            heads,
        )
        self.batch_first = batch_first
        self.reverse = reverse
        self.masked_output = masked_output
        self.return_state, self.return_states = return_state, return_states
        self.dropout = float(dropout)
        self.backend = backend
        self.checkpoint_every = checkpoint_every
        self.recurrent_dropout, self.variational, self.zoneout = recurrent_dropout, variational, zoneout
        self.weight_drop, self.rates = float(weight_drop), rates
        self._regularisation = made

    @property
    def running_cell(self) -> Cell:
        """The cell that calls run: `cell`, with the masks of the options that act in the mode of the layer."""
        made = self._regularisation
        return self.cell if made is None else made.cell(training=self.training)

    def _drawn_masks(self) -> Masks | None:
        """The masks of a call, with a seed of its own; None if there are none."""
        made, p = self._regularisation, self.weight_drop if self.training else 0.0
        masks = None if made is None else made.masks(training=self.training)
        lasting = made is not None and made.draws(training=self.training)
        if not lasting and p == 0:
            return masks
        seed, step = seed_and_step(self, lasting=lasting)
        rates, text = ((), "") if masks is None else (masks.rates, masks.rates_text)
        return Masks(seed, rates, step=step, rates_text=text, weight_drop=p)

    @property
    def regularisation(self) -> str:
        """The options that change what the layer computes, such as ``zoneout=0.1``; empty if there are none."""
        names = ("recurrent_dropout", "variational", "zoneout", "weight_drop")
        return ", ".join(f"{name}={value}" for name in names if (value := getattr(self, name)))

    def _returns_sequences(self, layer: int) -> bool:
        """Whether a layer returns its states after every step besides the output."""
        return self.return_states and layer == self.num_layers - 1 and len(self.cell.states) > 1

    @property
    def _drops_weights(self) -> bool:
        return self.training and self.weight_drop > 0

    def _packed_weights(self, layer: int) -> PackedWeights | None:
        """Where a call of a layer, or −1 of the stack, may cache packed weights."""
        return None if self._packed is None or self._drops_weights else self._packed[layer]

    @property
    def _directions(self) -> Directions:
        return "bidirectional" if self.bidirectional else "reverse" if self.reverse else "forward"

    @contextmanager
    def frozen(self, *, precision: Precision | None = None) -> Iterator[None]:
        """Declare that the weights do not change within a ``with`` block, so that they are packed once.

        Outside, every call uses the current weights, however they were written. Inside, the fused CPU kernels copy and
        pack them at the first call and read only the copy: many short calls then cost little more than their
        arithmetic. Call `refresh` after writing to the weights inside the block; `load_state_dict`,
        `reset_parameters` and moves to another device or precision do so.

        With ``precision="int8"`` the layer multiplies 8-bit integers: weights are rounded once, those of each row of a
        gate to multiples of 1/127 of the largest; x and h at every step, each row likewise. Sums are exact; states,
        gates and biases stay float32. It is for inference in float32 on the fused CPU kernels, two to four times as
        fast where weights are large. With ``precision="bf16"`` it multiplies numbers rounded to bfloat16, as in mixed
        precision, with gradients too; sums and everything else stay float32.

        Args:
            precision: ``"int8"``, ``"bf16"``, or None for that of the call (inside another block, for that of the
                block).

        Raises:
            ValueError: for another precision, or inside a block of another one.

        >>> import torch, gatewise
        >>> layer = gatewise.LSTM(3, 4).requires_grad_(False)
        >>> x = torch.zeros(5, 2, 3, requires_grad=True)
        >>> with layer.frozen():
        ...     for _ in range(3):
        ...         (step,) = torch.autograd.grad(layer(x)[0].square().sum(), x)
        ...         x = (x - step).detach().requires_grad_()
        """
        if precision not in (None, *get_args(Precision)):
            raise ValueError(f"precision: expected None, 'int8' or 'bf16', got {precision!r}")
        before = self._packed
        if before is None:
            self._packed = self._unpacked(precision)
        elif precision not in (None, before[0].precision):
            raise ValueError(
                f"precision: the layer is frozen with precision={before[0].precision!r} already, got {precision!r}"
            )
        try:
            yield
        finally:
            if before is None:
                object.__setattr__(self, "_packed", None)  # torch may be gone if the interpreter exits in the block

    def _unpacked(self, precision: Precision | None) -> list[PackedWeights]:
        count = len(self._names)
        return [PackedWeights(precision) for _ in range(count if count == 1 else count + 1)]

    def refresh(self) -> None:
        """Pack the weights again at the next call inside `frozen`, and at the next step of an open `stream`.

        >>> import torch, gatewise
        >>> layer = gatewise.LSTM(3, 4)
        >>> with layer.frozen(), torch.no_grad():
        ...     _ = layer.weight_hh_l0.zero_()
        ...     layer.refresh()
        """
        self._generation += 1
        if self._packed is not None:
            self._packed = self._unpacked(self._packed[0].precision)

    def reset_parameters(self) -> None:
        """Draw the initial weights again."""
        super().reset_parameters()
        self.refresh()

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        write_identity(destination, prefix, self.cell)

    def _load_from_state_dict(
        self,
        state_dict: Any,
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        try:
            state_dict = self._in_own_order(state_dict, prefix, local_metadata)
        except ValueError as error:
            error_msgs.append(f"{prefix.removesuffix('.') or type(self).__name__}: {error}.")
            return
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )
        self.refresh()

    def _in_own_order(self, state_dict: dict[str, Any], prefix: str, local_metadata: dict[str, Any]) -> dict[str, Any]:
        """A state dict with the gates of this layer's weights in the order of its cell.

        Raises:
            ValueError: when the weights are of another cell, or of an unknown one.
        """
        parametrized = f"{prefix}parametrizations."
        named = {prefix + name: group for name, group in self._groups_by_name() if prefix + name in state_dict}
        changed = sorted(key for key in state_dict if key.startswith(parametrized))
        if not named and not changed:
            return state_dict
        gates = stored_gates(self.cell, local_metadata)
        if gates == self.cell.gates:
            return state_dict
        if changed:
            raise ValueError(
                f"{changed[0]} is parametrized, so its gates cannot be brought from the order {' '.join(gates)} into "
                f"{' '.join(self.cell.gates)}; save it after torch.nn.utils.parametrize.remove_parametrizations"
            )
        own = {key: reorder_gates(self.cell, group, state_dict[key], gates) for key, group in named.items()}
        return {**state_dict, **own}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_packed": None}  # a copy is not frozen

    def __prepare_scriptable__(self) -> Self:
        raise TypeError(
            f"torch.jit.script cannot compile {type(self).__name__}, whose work depends on values; use torch.jit.trace "
            "or torch.export.export"
        )

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        self.refresh()
        return super()._apply(fn, recurse)

    def extra_repr(self) -> str:
        """The arguments that differ from their defaults, for ``repr``."""
        options = {
            "num_layers": (self.num_layers, 1),
            "bias": (self.bias, True),
            "batch_first": (self.batch_first, False),
            "dropout": (self.dropout, 0.0),
            "bidirectional": (self.bidirectional, False),
            "merge": (self.merge, "concat"),
            "reverse": (self.reverse, False),
            "masked_output": (self.masked_output, "zero"),
            "return_state": (self.return_state, True),
            "return_states": (self.return_states, False),
            "init": (self.init, "default"),
            "backend": (self.backend, "auto"),
            "checkpoint_every": (self.checkpoint_every, None),
            "recurrent_dropout": (self.recurrent_dropout, 0.0),
            "variational": (self.variational, 0.0),
            "zoneout": (self.zoneout, 0.0),
            "weight_drop": (self.weight_drop, 0.0),
            "rates": (self.rates, None),
            "proj_size": (self.proj_size, 0),
            "heads": (self.heads, 1),
        }
        given = [f"{name}={value!r}" for name, (value, default) in options.items() if value != default]
        return ", ".join([self.cell.name, str(self.input_size), str(self.hidden_size), *given])


def _check_projection(cell: Cell, proj_size: int, hidden_size: int) -> None:
    """Check the width of a projection.

    Raises:
        TypeError: when it is not a number.
        ValueError: when the cell has a projection and it is not between 1 and H − 1, or has none and it is not 0.
    """
    if not isinstance(proj_size, int) or isinstance(proj_size, bool):
        raise TypeError(f"proj_size: expected an int, got {type(proj_size).__name__} ({proj_size!r})")
    if not cell.projected and proj_size != 0:
        raise ValueError(
            f"proj_size: expected 0, got {proj_size}; no state of the cell {cell.name} has the width of a projection, "
            "as that of lstm_projected and lstm_projected_sak2014 has. Put an nn.Linear after the layer"
        )
    if cell.projected and not 0 < proj_size < hidden_size:
        state = cell.states[cell.widths.index("P")]
        raise ValueError(
            f"proj_size: expected the width P of the state {state} of the cell {cell.name}, at least 1 and less than "
            f"hidden_size={hidden_size}, got {proj_size}"
        )


def _check_heads(cell: Cell, heads: int, hidden_size: int) -> None:
    """Check the number of heads.

    Raises:
        TypeError: when it is not a number.
        ValueError: when it does not divide H, or is not 1 in a cell without matrices that are divided into heads.
    """
    if not isinstance(heads, int) or isinstance(heads, bool):
        raise TypeError(f"heads: expected an int, got {type(heads).__name__} ({heads!r})")
    if not cell.heads and heads != 1:
        raise ValueError(
            f"heads: expected 1, got {heads}; no matrix of the cell {cell.name} is declared to be divided into heads, "
            "as R of slstm is. Declare one with @gatewise.cell(heads=('R',))"
        )
    if heads < 1 or hidden_size % heads:
        raise ValueError(
            f"heads: expected a divisor of hidden_size={hidden_size}, of whose units every head has the same number, "
            f"got {heads}"
        )


def _check_placement(device: Device, dtype: torch.dtype | None) -> None:
    """Check the device and dtype of parameters.

    Raises:
        TypeError: for a dtype that is not torch's.
        ValueError: for a dtype of integers, or a device that is unknown or not available.
    """
    if dtype is not None and not isinstance(dtype, torch.dtype):
        name = dtype if isinstance(dtype, str) else getattr(dtype, "__name__", "")
        meant = getattr(torch, name.removeprefix("torch."), None)
        hint = f"; pass {meant}" if isinstance(meant, torch.dtype) else ", such as torch.float32"
        raise TypeError(f"dtype: expected a torch.dtype, got {dtype!r}{hint}")
    if dtype is not None and not (dtype.is_floating_point or dtype.is_complex):
        raise ValueError(f"dtype: expected a floating-point dtype, got {dtype}")
    if device is None:
        return
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ValueError(f"device: {str(device)!r} is not available here: {str(error).splitlines()[0]}") from None


def _stack_level() -> int:
    """The `stacklevel` by which a warning in a constructor names the line that calls the layer's class."""
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(_PACKAGE):
        frame, level = frame.f_back, level + 1
    return level


_PACKAGE = f"{__package__}."
