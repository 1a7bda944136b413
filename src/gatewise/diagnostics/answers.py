"""Answers of a trace that are series over time: gradient norms, gates."""

from collections.abc import Callable

import torch
from torch import Tensor

from gatewise.diagnostics.recorded import RecordedCall
from gatewise.diagnostics.replay import gates_of, steps_of
from gatewise.diagnostics.saturation import Saturation, saturation_of
from gatewise.diagnostics.series import Label, Series
from gatewise.kernels.norms import row_norms

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

    def saturation(self) -> dict[str, Saturation]:
        """How much of every gate is where its activation is flat, by key."""
        return {key: saturation_of(self[key], name) for key, name in self.activations.items()}


def joined(parts: list[Tensor], padding: float) -> Tensor:
    """Calls after each other in time; one with fewer rows is padded."""
    if len(parts) == 1:
        return parts[0]
    most = max(part.shape[1] for part in parts)
    padded = [
        torch.cat([part, part.new_full((part.shape[0], most - part.shape[1], *part.shape[2:]), padding)], dim=1)
        for part in parts
    ]
    return torch.cat(padded)


def gate_gradients(layers: list[list[RecordedCall]]) -> dict[Label, Tensor]:
    """The gradient of what each activation is of, from the calls of each layer."""
    found: dict[Label, list[Tensor]] = {}
    for calls in layers:
        for call in calls:
            if call.state_gradients is None:
                raise ValueError(MISSING.format(what="gates().gradients"))
            gates = gates_of(call.cell)
            for steps, place in zip(steps_of(call), call.places, strict=True):
                within = steps.within([gate.before for gate in gates])
                for gate, gradient in zip(gates, within, strict=True):
                    found.setdefault(Label(place, gate.name), []).append(steps.spread(gradient, 0.0))
    return {label: joined(parts, 0.0) for label, parts in found.items()}
