"""Measurements of recorded passes: gradient norms, states, gates, memory horizons, contributions."""

import torch
from torch import Tensor

from gatewise.diagnostics.call_record import CallRecord, Location
from gatewise.diagnostics.contributions import contributions_of
from gatewise.diagnostics.horizon import Horizon, horizons_of
from gatewise.diagnostics.labelled_tensors import Label, LabelledTensors
from gatewise.diagnostics.observer import ModelObserver, Pass
from gatewise.diagnostics.replay import gates_of, states_of, steps_of
from gatewise.diagnostics.saturation import Saturation
from gatewise.diagnostics.time_series import MISSING, Gates, GradientFlow, gate_gradients, joined


class Measurements(ModelObserver):
    """Measurements of the recorded passes.

    Calls of the model are grouped into passes: a pass ends with its backward pass, or, without gradients, when a layer
    is called again. If a layer was called several times in a pass, its calls are consecutive in time. Methods measure
    the last pass, or the one with ``index``: 0 for the first kept, −1 for the last.

    Attributes:
        passes: the last ``keep`` passes.
        clips: the events of gradient clipping.
    """

    def _pass(self, index: int, *, with_gradients: bool) -> Pass:
        passes = [one for one in self.passes if one.calls and (one.reached or not with_gradients)]
        if not passes:
            what = "backward pass" if with_gradients else "call of the model"
            raise ValueError(f"nothing was recorded: there was no {what} inside `with gatewise.watch(model)`")
        if not -len(passes) <= index < len(passes):
            raise ValueError(
                f"index: expected a pass between {-len(passes)} and {len(passes) - 1}, got {index}; see watch(keep=…)"
            )
        return passes[index]

    def layers(self, index: int = -1, *, with_gradients: bool = False) -> list[list[CallRecord]]:
        """The recorded calls of each layer in a pass."""
        return self._pass(index, with_gradients=with_gradients).of_layers(with_gradients=with_gradients)

    def gradient_flow(self, index: int = -1) -> GradientFlow:
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
        for calls in self.layers(index, with_gradients=True):
            for direction, location in enumerate(calls[0].locations):
                for state, name in enumerate(calls[0].cell.states):
                    parts = [call.gradient_norms[direction, state] for call in calls]
                    rows[Label(location, name)] = joined(parts, 0.0)
        return GradientFlow(rows, short=self.short)

    def states(self, index: int = -1) -> LabelledTensors:
        """The states after every step, (T, B, H) each; NaN in padding.

        Raises:
            ValueError: when nothing was recorded.
        """
        values: dict[Label, Tensor] = {}
        for calls in self.layers(index):
            of_calls = [states_of(call) for call in calls]
            for direction, location in enumerate(calls[0].locations):
                for state, name in enumerate(calls[0].cell.states):
                    parts = [
                        torch.where(call.valid[..., None], found[state][direction], torch.nan)
                        for call, found in zip(calls, of_calls, strict=True)
                    ]
                    values[Label(location, name)] = joined(parts, torch.nan)
        return LabelledTensors(values, short=self.short)

    def gates(self, index: int = -1) -> Gates:
        """The activation of every gate at every step.

        Unless the model was watched with ``gates=True`` the states are computed again for it.

        >>> import torch, gatewise
        >>> layer = gatewise.GRU(3, 4)
        >>> with gatewise.watch(layer) as trace, torch.no_grad():
        ...     _ = layer(torch.randn(50, 2, 3), lengths=torch.tensor([50, 30]))
        >>> trace.gates()
        Gates({'r': (50, 2, 4), 'z': (50, 2, 4), 'n': (50, 2, 4)})

        Raises:
            ValueError: when nothing was recorded, or an input was modified in place since.
        """
        values: dict[Label, list[Tensor]] = {}
        activations: dict[Label, str] = {}
        layers = self.layers(index)
        for calls in layers:
            for call in calls:
                for steps, location in zip(steps_of(call), call.locations, strict=True):
                    for gate in gates_of(call.cell):
                        label = Label(location, gate.name)
                        values.setdefault(label, []).append(steps.spread(steps.value(gate.value), torch.nan))
                        activations[label] = gate.activation
        whole = {label: joined(parts, torch.nan) for label, parts in values.items()}
        return Gates(whole, activations, lambda: gate_gradients(layers), short=self.short)

    @property
    def gates_labels(self) -> tuple[Label, ...]:
        """The labels of `gates` of the last pass, without computing them."""
        return tuple(
            Label(location, gate.name)
            for calls in self.layers()
            for location in calls[0].locations
            for gate in gates_of(calls[0].cell)
        )

    def saturation(self, index: int = -1) -> dict[str, Saturation]:
        """The saturation of every gate, by the keys of `gates`.

        Raises:
            ValueError: as `gates`.
        """
        return self.gates(index).saturation()

    def memory_horizon(self, index: int = -1) -> dict[Location, Horizon]:
        """How far back a gradient reaches through each layer's recurrence.

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
            ValueError: when nothing was recorded, or an input was modified in place since.
        """
        found: dict[Location, Horizon] = {}
        for calls in self.layers(index):
            longest = max(calls, key=lambda call: call.steps)
            found.update({horizon.location: horizon for horizon in horizons_of(longest)})
        return found

    def contributions(self, index: int = -1, *, shares: bool = False) -> LabelledTensors:
        """The contribution of each step to the gradient of each weight, by the weight's name.

        Args:
            index: which pass.
            shares: whether to return the contributions, (T, …) each, which sum over time to the pass's part of
                ``.grad``, rather than their norms, (T,) each.

        Raises:
            ValueError: unless the model was watched with ``gates=True`` and a backward pass was run.
        """
        found: dict[Label, list[Tensor]] = {}
        for calls in self.layers(index, with_gradients=True):
            weights = self.modules[calls[0].module].all_weights
            for call in calls:
                if call.state_gradients is None:
                    raise ValueError(MISSING.format(what="contributions"))
                each = contributions_of(call, shares=shares)
                for number, (of_groups, location) in enumerate(zip(each, call.locations, strict=True)):
                    parameters = weights[call.layer * len(call.locations) + number]
                    for parameter, part in zip(parameters, of_groups.values(), strict=True):
                        label = Label(location, self._parameter_name[id(parameter)])
                        found.setdefault(label, []).append(part)
        return LabelledTensors({label: torch.cat(parts) for label, parts in found.items()}, short=True)
