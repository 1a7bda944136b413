"""What was recorded while a model was watched, and the questions that can be asked of it."""

import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from gatewise.diagnostics.contributions import contributions_of
from gatewise.diagnostics.findings import Diagnosis, diagnose, first_not_finite
from gatewise.diagnostics.horizon import Horizon, horizons_of
from gatewise.diagnostics.recorded import Listener, Place, RecordedCall, row_norms
from gatewise.diagnostics.replay import gates_of, states_of, steps_of
from gatewise.diagnostics.saturation import Saturation, saturation_of
from gatewise.diagnostics.series import Label, Series
from gatewise.kernels import recording
from gatewise.layers import Recurrent
from gatewise.layers.clipping import Clipped, clips_told_to

MISSING = "{what}: needs every step's gradients, which were not kept; use gatewise.watch(model, gates=True)"


class GradientFlow(Series):
    """The norm of dL/dh_t and dL/dc_t at every step: the whole gradient of a state, of its output and of later steps.

    Each series is (T,), over batch and units. A reset cuts the gradient of the step before it, not the one that is
    shown there; padding adds nothing.

    Attributes:
        rows: the same per batch row, (T, B) each.
    """

    def __init__(self, rows: dict[Label, Tensor], *, short: bool) -> None:
        self.rows = Series(rows, short=short)
        super().__init__({label: row_norms(norms) for label, norms in rows.items()}, short=short)


class Gates(Series):
    """The activations of every gate, (T, B, H) each; NaN in padding. A cell without gates shows its units.

    Attributes:
        activations: by key the name of the activation.
    """

    def __init__(
        self,
        values: dict[Label, Tensor],
        activations: dict[Label, str],
        gradients: Callable[[], dict[Label, Tensor]],
        *,
        short: bool,
    ) -> None:
        super().__init__(values, short=short)
        self.activations = {self.key(label): name for label, name in activations.items()}
        self._gradients = gradients

    @property
    def gradients(self) -> Series:
        """The gradient of what each activation is of, (T, B, H) each; 0 in padding.

        Raises:
            ValueError: unless the model was watched with ``gates=True`` and a backward pass was run.
        """
        return Series(self._gradients(), short=self.short)


@dataclass(frozen=True)
class NotFinite:
    """Where NaN or infinity was first met.

    Attributes:
        place, step: the layer, the direction and the time step.
        what: ``output`` or ``gradient``.
        number: of the pass, counted from 0 over all that were recorded.
    """

    place: Place
    step: int
    what: str
    number: int


@dataclass
class Pass:
    """Calls that belong together: those up to and with a backward pass.

    Attributes:
        calls: in order.
        reached: whether its backward pass has begun.
    """

    calls: list[RecordedCall] = field(default_factory=list)
    reached: bool = False

    def of_layers(self, *, with_gradients: bool) -> list[list[RecordedCall]]:
        """The calls of each layer, in order; where some have gradients, those alone."""
        by_layer: dict[tuple[str, int], list[RecordedCall]] = {}
        for call in self.calls:
            by_layer.setdefault((call.module, call.layer), []).append(call)
        found: list[list[RecordedCall]] = []
        for calls in by_layer.values():
            # Recomputation (torch.utils.checkpoint) calls a layer twice, and gradients reach the second call.
            reached = [call for call in calls if call.has_gradients]
            if reached or not with_gradients:
                found.append(reached or calls)
        return found


@dataclass(frozen=True)
class Update:
    """One step of an optimiser, as far as it updated parameters of the watched model.

    Attributes:
        names: of the parameters.
        gradients, changes, weights: (P,) by parameter the norm of its gradient after any clipping, of the change, and
            of the weight before.
    """

    names: tuple[str, ...]
    gradients: Tensor
    changes: Tensor
    weights: Tensor

    @property
    def gradient_norm(self) -> float:
        """Of all gradients together."""
        return float(self.gradients.norm())

    @property
    def ratios(self) -> dict[str, float]:
        """By parameter name, the norm of the change over that of the weight; without weights that were zero."""
        found = (self.changes / self.weights).tolist()
        return {name: one for name, one, weight in zip(self.names, found, self.weights.tolist(), strict=True) if weight}


class Trace(Listener):
    """What was recorded while a model was watched; made by `watch`.

    Calls of the model are gathered into passes: a pass ends with its backward pass, or, with gradients off, when a
    layer is called again. Where a layer was called several times in a pass, its calls follow each other in time.
    Questions are about the last pass, or about ``at``: 0 for the first that was kept, −1 for the last.

    Attributes:
        passes: the last ones, as many as ``keep``.
        updates: the steps of optimisers.
        clips: what `gatewise.Clip` has done.
    """

    def __init__(self, model: nn.Module, *, gates: bool, keep: int) -> None:
        self._model = model
        self.keeps_all = gates
        self.modules = {name: module for name, module in model.named_modules() if isinstance(module, Recurrent)}
        self._name_of = {module: name for name, module in self.modules.items()}
        self._parameter_name = {id(parameter): name for name, parameter in model.named_parameters()}
        self.passes: deque[Pass] = deque(maxlen=keep)
        self.updates: list[Update] = []
        self.clips: list[Clipped] = []
        self._passes_begun = 0
        self._not_finite: NotFinite | None = None
        self._before: dict[int, Tensor] = {}
        only = list(self.modules.values())
        self.short = len(only) == 1 and only[0].num_layers == 1 and not only[0].bidirectional

    # What is told to it.

    def sink(self, owner: nn.Module, layer: int) -> RecordedCall:
        """For a call of one layer."""
        assert isinstance(owner, Recurrent)
        return RecordedCall(self, self._name_of[owner], layer, self.keeps_all)

    def began(self, call: RecordedCall) -> None:
        """A call is about to be run."""
        # Inside a backward pass layers are called again to recompute what was not kept.
        recomputing = torch._C._current_graph_task_id() != -1
        if not self.passes or (not recomputing and self._ends(self.passes[-1], call)):
            self._look_for_not_finite()
            self.passes.append(Pass())
            self._passes_begun += 1
        self.passes[-1].calls.append(call)

    def _look_for_not_finite(self) -> None:
        if self._not_finite is None and self.passes:
            found = first_not_finite(self.passes[-1].calls)
            if found is not None:
                self._not_finite = NotFinite(*found, self._passes_begun - 1)

    @property
    def first_not_finite(self) -> NotFinite | None:
        """Where NaN or infinity was first met, also in passes that were not kept; None when nowhere."""
        self._look_for_not_finite()
        return self._not_finite

    @staticmethod
    def _ends(last: Pass, call: RecordedCall) -> bool:
        again = any((one.module, one.layer) == (call.module, call.layer) for one in last.calls)
        return last.reached or (not call.with_history and again)

    def reached(self, call: RecordedCall) -> None:
        """The first gradients of a call have come."""
        for one in self.passes:
            one.reached |= any(call is other for other in one.calls)

    def clipped(self, parameters: Sequence[Tensor], event: Clipped) -> None:
        """Gradients were clipped, perhaps those of this model."""
        if any(id(parameter) in self._parameter_name for parameter in parameters):
            self.clips.append(event)

    def _before_step(self, optimiser: Optimizer, arguments: object, options: object) -> None:
        own = [one for one in _parameters(optimiser) if id(one) in self._parameter_name]
        self._before = {id(one): one.detach().clone() for one in own}
        self._hold_weights(set(self._before), self._before)

    def _after_step(self, optimiser: Optimizer, arguments: object, options: object) -> None:
        # A step may have run passes itself, by a closure, on the weights from before it.
        self._hold_weights(set(self._before), self._before)
        own = [one for one in _parameters(optimiser) if id(one) in self._before and one.grad is not None]
        if not own:
            return
        before = [self._before[id(one)] for one in own]
        with torch.no_grad():
            changes = [one.detach() - old for one, old in zip(own, before, strict=True)]
            gradients = [torch.zeros_like(one) if one.grad is None else one.grad for one in own]
            norms = torch.stack([torch.linalg.vector_norm(one) for one in (*gradients, *changes, *before)])
        names = tuple(self._parameter_name[id(one)] for one in own)
        self.updates.append(Update(names, *norms.view(3, -1).unbind()))
        self._before = {}

    def _hold_weights(self, changing: set[int], copies: dict[int, Tensor]) -> None:
        for one in self.passes:
            for call in one.calls:
                if call.uses(changing):
                    call.keep_weights(copies)

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Record within the block; it may be entered again later."""
        hooks = [
            register_optimizer_step_pre_hook(self._before_step),
            register_optimizer_step_post_hook(self._after_step),
        ]
        for module in self.modules.values():
            recording.add(module, self)
        try:
            with clips_told_to(self.clipped):
                yield
        finally:
            for module in self.modules.values():
                recording.remove(module, self)
            for hook in hooks:
                hook.remove()
            # Nobody will tell of later writes to the weights, so hold them as they are.
            self._hold_weights(set(self._parameter_name), {})

    # What it answers.

    def _pass(self, at: int, *, with_gradients: bool) -> Pass:
        passes = [one for one in self.passes if one.calls and (one.reached or not with_gradients)]
        if not passes:
            what = "backward pass" if with_gradients else "call of the model"
            raise ValueError(f"nothing was recorded: there was no {what} inside `with gatewise.watch(model)`")
        if not -len(passes) <= at < len(passes):
            raise ValueError(
                f"at: expected a pass between {-len(passes)} and {len(passes) - 1}, got {at}; see watch(keep=…)"
            )
        return passes[at]

    def layers(self, at: int = -1, *, with_gradients: bool = False) -> list[list[RecordedCall]]:
        """The recorded calls of each layer in a pass."""
        return self._pass(at, with_gradients=with_gradients).of_layers(with_gradients=with_gradients)

    def gradient_flow(self, at: int = -1) -> GradientFlow:
        """The norm of the gradient of every state at every step.

        >>> import torch, gatewise
        >>> layer = gatewise.LSTM(3, 4)
        >>> with gatewise.watch(layer) as trace:
        ...     layer(torch.randn(50, 2, 3))[0][-1].sum().backward()
        >>> flow = trace.gradient_flow()
        >>> flow["h"].shape, bool(flow["c"][0] < flow["c"][-1])
        (torch.Size([50]), True)

        Raises:
            ValueError: when no backward pass was recorded.
        """
        rows: dict[Label, Tensor] = {}
        for calls in self.layers(at, with_gradients=True):
            for direction, place in enumerate(calls[0].places):
                for state, name in enumerate(calls[0].call.cell.states):
                    parts = [call.gradient_norms[direction, state] for call in calls]
                    rows[Label(place, name)] = _joined(parts, 0.0)
        return GradientFlow(rows, short=self.short)

    def states(self, at: int = -1) -> Series:
        """The states after every step, (T, B, H) each; NaN in padding.

        Raises:
            ValueError: when nothing was recorded.
        """
        values: dict[Label, Tensor] = {}
        for calls in self.layers(at):
            of_calls = [states_of(call) for call in calls]
            for direction, place in enumerate(calls[0].places):
                for state, name in enumerate(calls[0].call.cell.states):
                    parts = [
                        torch.where(call.valid[..., None], found[direction, state], torch.nan)
                        for call, found in zip(calls, of_calls, strict=True)
                    ]
                    values[Label(place, name)] = _joined(parts, torch.nan)
        return Series(values, short=self.short)

    def gates(self, at: int = -1) -> Gates:
        """The activation of every gate at every step.

        Unless the model was watched with ``gates=True`` the states are computed again for it.

        >>> import torch, gatewise
        >>> layer = gatewise.GRU(3, 4)
        >>> with gatewise.watch(layer) as trace, torch.no_grad():
        ...     _ = layer(torch.randn(50, 2, 3), lengths=torch.tensor([50, 30]))
        >>> trace.gates()
        Gates({'r': (50, 2, 4), 'z': (50, 2, 4), 'n': (50, 2, 4)})

        Raises:
            ValueError: when nothing was recorded, or an input was since written to in place.
        """
        values: dict[Label, list[Tensor]] = {}
        activations: dict[Label, str] = {}
        layers = self.layers(at)
        for calls in layers:
            for call in calls:
                for steps, place in zip(steps_of(call), call.places, strict=True):
                    for gate in gates_of(call.call.cell):
                        label = Label(place, gate.name)
                        values.setdefault(label, []).append(steps.spread(steps.value(gate.value), torch.nan))
                        activations[label] = gate.activation
        joined = {label: _joined(parts, torch.nan) for label, parts in values.items()}
        return Gates(joined, activations, lambda: _gate_gradients(layers), short=self.short)

    @property
    def gates_labels(self) -> tuple[Label, ...]:
        """The labels of `gates` of the last pass, without computing them."""
        return tuple(
            Label(place, gate.name)
            for calls in self.layers()
            for place in calls[0].places
            for gate in gates_of(calls[0].call.cell)
        )

    def saturation(self, at: int = -1) -> dict[str, Saturation]:
        """How much of every gate is where its activation is flat, by the keys of `gates`.

        Raises:
            ValueError: as `gates`.
        """
        gates = self.gates(at)
        return {key: saturation_of(gates[key], name) for key, name in gates.activations.items()}

    def memory_horizon(self, at: int = -1) -> dict[Place, Horizon]:
        """How far back a gradient reaches through each layer's own recurrence.

        The last call of each layer is run again; see `Horizon`.

        >>> import torch, gatewise
        >>> torch.manual_seed(0)  # doctest: +ELLIPSIS
        <torch...
        >>> layer = gatewise.RNN(3, 16, init="torch")
        >>> with gatewise.watch(layer) as trace, torch.no_grad():
        ...     _ = layer(torch.randn(50, 2, 3))
        >>> (horizon,) = trace.memory_horizon().values()
        >>> horizon.outcome, horizon.steps < 10
        ('vanishes', True)

        Raises:
            ValueError: when nothing was recorded, or an input was since written to in place.
        """
        found: dict[Place, Horizon] = {}
        for calls in self.layers(at):
            longest = max(calls, key=lambda call: call.steps)
            found.update({horizon.place: horizon for horizon in horizons_of(longest)})
        return found

    def contributions(self, at: int = -1, *, shares: bool = False) -> Series:
        """What each step adds to the gradient of each weight, by the weight's name.

        Arguments:
            at: which pass.
            shares: whether to return the shares, (T, …) each, whose sum over time is the pass's part of ``.grad``,
                rather than their norms, (T,) each.

        Raises:
            ValueError: unless the model was watched with ``gates=True`` and a backward pass was run.
        """
        found: dict[Label, list[Tensor]] = {}
        for calls in self.layers(at, with_gradients=True):
            weights = self.modules[calls[0].module].all_weights
            for call in calls:
                if call.state_gradients is None:
                    raise ValueError(MISSING.format(what="contributions"))
                each = contributions_of(call, shares=shares)
                for number, (of_groups, place) in enumerate(zip(each, call.places, strict=True)):
                    parameters = weights[call.layer * len(call.places) + number]
                    for parameter, part in zip(parameters, of_groups.values(), strict=True):
                        label = Label(place, self._parameter_name[id(parameter)])
                        found.setdefault(label, []).append(part)
        return Series({label: torch.cat(parts) for label, parts in found.items()}, short=True)

    def diagnose(self) -> Diagnosis:
        """What is wrong, with evidence and advice; see `Diagnosis` and `Finding`.

        >>> import torch, gatewise
        >>> _ = torch.manual_seed(0)
        >>> layer = gatewise.RNN(3, 16, init="torch")
        >>> with gatewise.watch(layer) as trace:
        ...     layer(torch.randn(50, 8, 3))[0][-1].sum().backward()
        >>> [finding.kind for finding in trace.diagnose()]
        ['vanishing']

        Raises:
            ValueError: when nothing was recorded.
        """
        return diagnose(self)

    def report(self, path: str | Path, *, tokens: Sequence[str] | None = None) -> Path:
        """Write one page of HTML that shows all of it and needs nothing else.

        Arguments:
            path: of the file.
            tokens: what to write over the steps of the first batch row.

        Returns:
            The path.
        """
        from gatewise.diagnostics.report import write_report

        return write_report(self, Path(path), tokens)

    def plot(self, at: int = -1, *, axes: Any = None) -> Any:
        """Draw the gradient flow on matplotlib axes, by default new ones, which are returned."""
        from gatewise.diagnostics.plots import plot_gradient_flow

        return plot_gradient_flow(self, at, axes)


def _parameters(optimiser: Optimizer) -> Iterator[Tensor]:
    for group in optimiser.param_groups:
        yield from group["params"]


def _joined(parts: list[Tensor], padding: float) -> Tensor:
    """Calls after each other in time; one with fewer rows is padded."""
    if len(parts) == 1:
        return parts[0]
    most = max(part.shape[1] for part in parts)
    padded = [
        torch.cat([part, part.new_full((part.shape[0], most - part.shape[1], *part.shape[2:]), padding)], dim=1)
        for part in parts
    ]
    return torch.cat(padded)


def _gate_gradients(layers: list[list[RecordedCall]]) -> dict[Label, Tensor]:
    found: dict[Label, list[Tensor]] = {}
    for calls in layers:
        for call in calls:
            if call.state_gradients is None:
                raise ValueError(MISSING.format(what="gates().gradients"))
            gates = gates_of(call.call.cell)
            for steps, place in zip(steps_of(call), call.places, strict=True):
                within = steps.within([gate.before for gate in gates])
                for gate, gradient in zip(gates, within, strict=True):
                    found.setdefault(Label(place, gate.name), []).append(steps.spread(gradient, 0.0))
    return {label: _joined(parts, 0.0) for label, parts in found.items()}


def _compiled(model: nn.Module) -> bool:
    # Its import takes seconds, and before it nothing is compiled.
    dynamo = sys.modules.get("torch._dynamo.eval_frame")
    kinds = () if dynamo is None else (dynamo.OptimizedModule,)
    return any(isinstance(one, kinds) or one._compiled_call_impl is not None for one in model.modules())


def new_trace(model: nn.Module, *, gates: bool, keep: int) -> Trace:
    """A trace of a model that records nothing yet; see `watch`."""
    if not isinstance(model, nn.Module):
        raise TypeError(f"model: expected a torch.nn.Module, got {type(model).__name__}")
    if isinstance(keep, bool) or not isinstance(keep, int) or keep < 1:
        raise ValueError(f"keep: expected a number of passes of at least 1, got {keep!r}")
    if _compiled(model):
        raise ValueError(recording.COMPILED)
    trace = Trace(model, gates=gates, keep=keep)
    if not trace.modules:
        raise ValueError(
            f"model: expected gatewise.Recurrent layers in it, found none in {type(model).__name__}; "
            "torch.nn's own layers cannot be watched (gatewise.LSTM and GRU take their weights)"
        )
    return trace


@contextmanager
def watch(model: nn.Module, *, gates: bool = False, keep: int = 1) -> Iterator[Trace]:
    """Record what happens inside a model's recurrent layers, forward and backward, on the same fast kernels.

    Arguments:
        model: a module that is or holds `Recurrent` layers.
        gates: whether to keep every step's states and gradients, which `Gates.gradients` and `Trace.contributions`
            need; otherwise the norms of the gradients alone.
        keep: how many passes to keep. A pass holds on to the inputs of its layers.

    Returns:
        A context manager; what it gives answers questions during and after the ``with`` block.

    Raises:
        TypeError, ValueError: for a model without such layers, one that is compiled, or keep below 1.

    >>> import torch, gatewise
    >>> layer = gatewise.RNN(3, 4)
    >>> with gatewise.watch(layer) as trace:
    ...     layer(torch.randn(30, 2, 3))[0].square().mean().backward()
    >>> trace.gradient_flow()["h"].shape
    torch.Size([30])
    """
    trace = new_trace(model, gates=gates, keep=keep)
    with trace.recording():
        yield trace
