"""What was recorded while a model was watched, as numbers: gradient norms, states, gates, how far gradients reach."""

import torch
from torch import Tensor

from gatewise.diagnostics.answers import MISSING, Gates, GradientFlow, gate_gradients, joined
from gatewise.diagnostics.contributions import contributions_of
from gatewise.diagnostics.horizon import Horizon, horizons_of
from gatewise.diagnostics.passes import Pass
from gatewise.diagnostics.recorded import Place, RecordedCall
from gatewise.diagnostics.recorder import Recorder
from gatewise.diagnostics.replay import gates_of, states_of, steps_of
from gatewise.diagnostics.saturation import Saturation
from gatewise.diagnostics.series import Label, Series


class Measurements(Recorder):
    """What follows from the recorded passes, in numbers.

    Calls of the model are gathered into passes: a pass ends with its backward pass, or, with gradients off, when a
    layer is called again. Where a layer was called several times in a pass, its calls follow each other in time.
    Questions are about the last pass, or about ``at``: 0 for the first that was kept, −1 for the last.

    Attributes:
        passes: the last ones, as many as ``keep``.
        clips: what `gatewise.Clip` has done.
    """

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
                for state, name in enumerate(calls[0].cell.states):
                    parts = [call.gradient_norms[direction, state] for call in calls]
                    rows[Label(place, name)] = joined(parts, 0.0)
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
                for state, name in enumerate(calls[0].cell.states):
                    parts = [
                        torch.where(call.valid[..., None], found[direction, state], torch.nan)
                        for call, found in zip(calls, of_calls, strict=True)
                    ]
                    values[Label(place, name)] = joined(parts, torch.nan)
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
                    for gate in gates_of(call.cell):
                        label = Label(place, gate.name)
                        values.setdefault(label, []).append(steps.spread(steps.value(gate.value), torch.nan))
                        activations[label] = gate.activation
        whole = {label: joined(parts, torch.nan) for label, parts in values.items()}
        return Gates(whole, activations, lambda: gate_gradients(layers), short=self.short)

    @property
    def gates_labels(self) -> tuple[Label, ...]:
        """The labels of `gates` of the last pass, without computing them."""
        return tuple(
            Label(place, gate.name)
            for calls in self.layers()
            for place in calls[0].places
            for gate in gates_of(calls[0].cell)
        )

    def saturation(self, at: int = -1) -> dict[str, Saturation]:
        """How much of every gate is where its activation is flat, by the keys of `gates`.

        Raises:
            ValueError: as `gates`.
        """
        return self.gates(at).saturation()

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
