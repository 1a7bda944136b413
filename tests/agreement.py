"""Cases for a recurrent layer, and the one rule by which its numbers are compared with the transcription's."""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, NamedTuple
from unittest import mock

import torch
from torch import Tensor

from gatewise.cells import lookup, names
from gatewise.equations import Cell, topological
from gatewise.kernels import execute
from gatewise.kernels.dispatch import BACKENDS
from gatewise.layers import Recurrent, recurrent
from tests.rounding import random_rounding
from tests.transcriptions import TRANSCRIPTIONS, run_layers
from tests.user_cells import USER_CELLS, USER_TRANSCRIPTIONS

BUILT_IN = {name: lookup(name) for name in names()}
# Whose states all have the width H, and those with a projection.
CELLS = {**{name: cell for name, cell in BUILT_IN.items() if not cell.projected}, **USER_CELLS}
PROJECTED = {name: cell for name, cell in BUILT_IN.items() if cell.projected}
ALL_CELLS = {**CELLS, **PROJECTED}
ALL_TRANSCRIPTIONS = {**TRANSCRIPTIONS, **USER_TRANSCRIPTIONS}

# Units in the last place, of the largest value, that a result may differ by on top of what a plain computation in
# the same precision does. In float64 the transcription is that plain computation, so all of it must be here.
# Of random rounding; more would be slow and allow little more.
SAMPLES = 8
SLACK = {torch.float64: 32, torch.float32: 4, torch.bfloat16: 16, torch.float16: 16}

Results = dict[str, Tensor]


class Way(NamedTuple):
    """A way to the same numbers: a backend, in eager code or through the operators, all at once or recomputed."""

    backend: str
    checkpoint_every: int | None = None
    through_operators: bool = False

    def __str__(self) -> str:
        recomputed = f", checkpoint_every={self.checkpoint_every}" if self.checkpoint_every else ""
        return f"{self.backend}{recomputed}{', operators' if self.through_operators else ''}"


WAYS = [Way(name, every, inside) for name in BACKENDS for every in (None, 2) for inside in (False, True)]


@dataclass(frozen=True)
class Case:
    """One layer and what it is given; ``lengths`` are repeated over the batch."""

    cell: str
    steps: int = 5
    batch: int = 4
    input_size: int = 3
    hidden_size: int = 4
    num_layers: int = 1
    bias: bool = True
    batch_first: bool = False
    batched: bool = True
    bidirectional: bool = False
    merge: str | None = "concat"
    lengths: tuple[int, ...] | None = None
    reset: bool = False
    initial: bool = True
    dtype: torch.dtype = torch.float64
    seed: int = 0

    def __str__(self) -> str:
        default = Case(self.cell)
        changed = {name: value for name, value in vars(self).items() if value != getattr(default, name)}
        return "-".join([self.cell, *(f"{name}={value}".replace("torch.", "") for name, value in changed.items())])

    @property
    def state_rows(self) -> int:
        return self.num_layers * (2 if self.bidirectional else 1)

    @property
    def proj_size(self) -> int:
        return projection_of(ALL_CELLS[self.cell], self.hidden_size)

    @property
    def state_widths(self) -> tuple[int, ...]:
        return tuple(self.proj_size if width == "P" else self.hidden_size for width in ALL_CELLS[self.cell].widths)


def heads_of(cell: Cell, hidden_size: int) -> int:
    """The heads of a layer of this cell in tests: as few as there can be, but more than one."""
    return min((n for n in possible_heads(cell, hidden_size) if 1 < n < hidden_size), default=1)


def possible_heads(cell: Cell, hidden_size: int) -> list[int]:
    """All that a layer of this cell can have."""
    return [n for n in range(1, hidden_size + 1) if hidden_size % n == 0] if cell.heads else [1]


def projection_of(cell: Cell, hidden_size: int) -> int:
    """The proj_size of a layer of this cell in tests."""
    return (hidden_size + 1) // 2 if cell.projected else 0


def layer_of(case: Case) -> Recurrent:
    """The layer of a case, with weights of its seed."""
    torch.manual_seed(case.seed)
    layer = Recurrent(
        ALL_CELLS[case.cell],
        case.input_size,
        case.hidden_size,
        case.num_layers,
        case.bias,
        case.batch_first,
        bidirectional=case.bidirectional,
        merge=case.merge,
        init="torch",
        proj_size=case.proj_size,
        heads=heads_of(ALL_CELLS[case.cell], case.hidden_size),
        dtype=torch.float64,
    )
    return layer.to(case.dtype)


def possible(cell: Cell, states: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """States that a cell can be in, from random numbers: the normaliser of an sLSTM is at least 1."""
    return tuple(
        1 + state.abs() if cell.name == "slstm" and name == "n" else state
        for name, state in zip(cell.states, states, strict=True)
    )


class Given(NamedTuple):
    """The arguments of a case, time first and batched: x (T, B, I), initial states, reset (T, B); and upstream
    gradients for the output and the final states."""

    x: Tensor
    initial: tuple[Tensor, ...]
    reset: Tensor | None
    upstream: tuple[Tensor, ...]


def given(case: Case) -> Given:
    """The arguments of a case, in its dtype."""
    draw = torch.Generator().manual_seed(case.seed + 1)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=draw, dtype=torch.float64).to(case.dtype)

    of_states = [(case.state_rows, case.batch, width) for width in case.state_widths]
    width = case.state_widths[0] * (2 if case.bidirectional and case.merge in ("concat", None) else 1)
    x = normal(case.steps, case.batch, case.input_size)
    initial = possible(ALL_CELLS[case.cell], [normal(*shape) for shape in of_states])
    if not case.initial:
        initial = tuple(torch.zeros_like(state) for state in initial)
    reset = None
    if case.reset:
        reset = torch.rand(case.steps, case.batch, generator=draw) < 0.3
    upstream = (normal(case.steps, case.batch, width), *(normal(*shape) for shape in of_states))
    return Given(x, initial, reset, upstream)


def results(
    output: Tensor, finals: Sequence[Tensor], upstream: Sequence[Tensor], leaves: Mapping[str, Tensor]
) -> Results:
    """Output, final states and the gradient of every leaf that wants one, by name."""
    pairs = [(value, above) for value, above in zip((output, *finals), upstream, strict=True) if value.requires_grad]
    wanted = {name: leaf for name, leaf in leaves.items() if leaf.requires_grad}
    found = torch.autograd.grad(
        [value for value, _ in pairs], list(wanted.values()), [above for _, above in pairs], allow_unused=True
    )
    gradients = {
        f"gradient of {name}": torch.zeros_like(leaf) if gradient is None else gradient
        for (name, leaf), gradient in zip(wanted.items(), found, strict=True)
    }
    return {
        "output": output.detach(),
        **{f"final state {index}": final.detach() for index, final in enumerate(finals)},
        **gradients,
    }


def _leaves(case: Case, values: Given, parameters: Mapping[str, Tensor], dtype: torch.dtype) -> dict[str, Tensor]:
    tensors = {"x": values.x, **{f"hx {index}": state for index, state in enumerate(values.initial)}, **parameters}
    return {
        name: tensor.detach().to(dtype, copy=True).requires_grad_(case.initial or not name.startswith("hx"))
        for name, tensor in tensors.items()
    }


@lru_cache(maxsize=512)
def transcribed(case: Case, dtype: torch.dtype) -> Results:
    """What the transcription makes of a case, computed in ``dtype``."""
    values, layer = given(case), layer_of(case)
    leaves = _leaves(case, values, dict(layer.named_parameters()), dtype)
    states = len(values.initial)
    output, finals = run_layers(
        ALL_TRANSCRIPTIONS[case.cell],
        leaves,
        leaves["x"],
        [leaves[f"hx {index}"] for index in range(states)],
        num_layers=case.num_layers,
        bidirectional=case.bidirectional,
        merge=case.merge,
        lengths=lengths_of(case),
        reset=values.reset,
    )
    return results(output, finals, [above.to(dtype) for above in values.upstream], leaves)


def lengths_of(case: Case) -> list[int] | None:
    """The lengths of a case, one per row."""
    if case.lengths is None:
        return None
    return [case.lengths[index % len(case.lengths)] for index in range(case.batch)]


def computed(case: Case, path: Way, layer: Recurrent | None = None) -> Results:
    """What gatewise makes of a case, one way, brought into the transcription's form."""
    values = given(case)
    layer = copy.deepcopy(layer_of(case) if layer is None else layer)
    layer.backend, layer.checkpoint_every = path.backend, path.checkpoint_every
    leaves = {**_leaves(case, values, {}, case.dtype), **dict(layer.named_parameters())}
    with operators_only() if path.through_operators else nullcontext():
        output, state = layer(*arguments(case, values, leaves), **options(case, values))
    if case.merge is None:
        output = torch.cat(output, dim=-1)
    finals = state if isinstance(state, tuple) else (state,)
    if not case.batched:
        output, finals = output.unsqueeze(1), tuple(final.unsqueeze(1) for final in finals)
    elif case.batch_first:
        output = output.transpose(0, 1)
    return results(output, finals, values.upstream, leaves)


def arguments(case: Case, values: Given, leaves: Mapping[str, Tensor]) -> tuple[Any, ...]:
    """The positional arguments of a case's layer: input, and hx where the case has one."""
    x = leaves["x"]
    x = x.squeeze(1) if not case.batched else x.transpose(0, 1) if case.batch_first else x
    if not case.initial:
        return (x,)
    states = tuple(leaves[f"hx {index}"] for index in range(len(values.initial)))
    if not case.batched:
        states = tuple(state.squeeze(1) for state in states)
    return x, states if len(states) > 1 else states[0]


def options(case: Case, values: Given) -> dict[str, Any]:
    """The keyword arguments of a case's layer."""
    reset = values.reset
    if reset is not None:
        reset = reset.squeeze(1) if not case.batched else reset.t() if case.batch_first else reset
    lengths = lengths_of(case)
    return {"lengths": None if lengths is None else torch.tensor(lengths, dtype=torch.int64), "reset": reset}


@contextmanager
def operators_only() -> Iterator[None]:
    """Send eager calls through the operators too, as a compiled or exported program does."""
    with (
        mock.patch.object(recurrent, "plain_inputs", return_value=None),
        mock.patch.object(execute, "PLAIN_TYPES", ()),
        mock.patch.object(execute.operators, "recurrent", wraps=execute.operators.recurrent) as operator,
    ):
        yield
    assert operator.called


def possible_ways(case: Case) -> list[Way]:
    """The ways whose backend can run a case; the reference's are always among them."""
    values, layer = given(case), layer_of(case)
    leaves = _leaves(case, values, {}, case.dtype)
    found: list[Way] = []
    for path in WAYS:
        layer.backend = path.backend
        try:
            layer.backend_for(*arguments(case, values, leaves), **options(case, values))
        except ValueError:
            continue
        found.append(path)
    return found


def assert_agrees(
    actual: Results,
    reference: Results,
    plain: Results,
    dtype: torch.dtype,
    *,
    rounded: Callable[[], Sequence[Results]] | None = None,
) -> None:
    """max |Δ| ≤ 2 · max |plain − reference| + slack · ε · max |reference|, for every tensor.

    Args:
        actual: of gatewise, in ``dtype``.
        reference: of the transcription in float64.
        plain: of a plain computation in ``dtype``.
        rounded: further plain computations, in random rounding, asked for where one does not explain a difference; for
            cells that magnify the rounding of single operations.
    """
    assert actual.keys() == reference.keys() == plain.keys()
    largest = max((value.abs().max().item() for value in reference.values() if value.numel()), default=0.0)
    for name, expected in reference.items():
        value = actual[name]
        assert value.dtype == dtype, name
        assert value.shape == expected.shape, name
        if expected.numel() == 0:
            continue
        difference = (value.double() - expected).abs().max().item()
        of_plain = (plain[name].double() - expected).abs().max().item()
        # In float64 nothing shows how much of a tensor has cancelled, so the scale is that of the whole case.
        scale = largest if dtype == torch.float64 else expected.abs().max().item()
        slack = SLACK[dtype] * torch.finfo(dtype).eps * scale
        if rounded is not None and difference > 2 * of_plain + slack:
            samples = [(other[name] - expected).abs().max().item() for other in rounded()]
            of_plain = max(of_plain, *samples)
        allowed = 2 * of_plain + slack
        assert difference <= allowed, f"{name}: |Δ| = {difference:.3g} > {allowed:.3g} (plain: {of_plain:.3g})"


def rounded_if_normalised(
    cell: Cell, dtype: torch.dtype, compute: Callable[[], Results]
) -> Callable[[], list[Results]] | None:
    """Samples of a computation in float64 with every operation rounded to ``dtype``, for cells that normalise.

    A norm magnifies every rounding by the deviation that it divides by, so one plain computation says too little.
    """

    @cache
    def samples() -> list[Results]:
        found: list[Results] = []
        for seed in range(SAMPLES):
            with random_rounding(dtype, seed):
                found.append(compute())
        return found

    return samples if any(node.op == "sum" for node in topological(cell.outputs)) else None


def check(case: Case, ways: Sequence[Way] | None = None) -> None:
    """Compare every way that can run a case with the transcription."""
    reference, plain = transcribed(case, torch.float64), transcribed(case, case.dtype)
    rounded = rounded_if_normalised(
        ALL_CELLS[case.cell], case.dtype, lambda: transcribed.__wrapped__(case, torch.float64)
    )
    for path in possible_ways(case) if ways is None else ways:
        try:
            assert_agrees(computed(case, path), reference, plain, case.dtype, rounded=rounded)
        except AssertionError as error:
            raise AssertionError(f"{path}: {error}") from error
