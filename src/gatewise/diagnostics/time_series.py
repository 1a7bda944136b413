"""Gradient norms and gates as series over time."""

from collections.abc import Callable

import torch
from torch import Tensor

from gatewise.diagnostics.call_record import CallRecord
from gatewise.diagnostics.labelled_tensors import Label, LabelledTensors
from gatewise.diagnostics.replay import gates_of, steps_of
from gatewise.diagnostics.saturation import Saturation, saturation_of
from gatewise.kernels.norms import row_norms

MISSING = "{what}: requires the gradients of every step, which were not recorded; use gatewise.watch(model, gates=True)"


class GradientFlow(LabelledTensors):
    """The norm of dL/dh_t and dL/dc_t at every step: total gradients, through the output and through later steps.

    Each series is (T,), over batch and units. A reset cuts the gradient of the previous step, not that of its own step;
    padding contributes nothing.

    Attributes:
        rows: the same per batch row, (T, B) each.
    """

    def __init__(self, rows: dict[Label, Tensor], *, short: bool) -> None:
        self.rows = LabelledTensors(rows, short=short)
        super().__init__({label: row_norms(norms) for label, norms in rows.items()}, short=short)


class Gates(LabelledTensors):
    """The activations of every gate, (T, B, H) each; NaN in padding. For a cell without gates, its units.

    Attributes:
        activations: the name of the activation, by key.
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
    def gradients(self) -> LabelledTensors:
        """The gradient of the argument of each activation, (T, B, H) each; 0 in padding.

        Raises:
            ValueError: unless the model was watched with ``gates=True`` and a backward pass was run.
        """
        return LabelledTensors(self._gradients(), short=self.short)

    def saturation(self) -> dict[str, Saturation]:
        """The saturation of every gate, by key."""
        return {key: saturation_of(self[key], name) for key, name in self.activations.items()}


def joined(parts: list[Tensor], padding: float) -> Tensor:
    """Concatenate calls in time; those with fewer rows are padded."""
    if len(parts) == 1:
        return parts[0]
    most = max(part.shape[1] for part in parts)
    padded = [
        torch.cat([part, part.new_full((part.shape[0], most - part.shape[1], *part.shape[2:]), padding)], dim=1)
        for part in parts
    ]
    return torch.cat(padded)


def gate_gradients(layers: list[list[CallRecord]]) -> dict[Label, Tensor]:
    """The gradient of the argument of each activation, from the calls of each layer."""
    found: dict[Label, list[Tensor]] = {}
    for calls in layers:
        for call in calls:
            if call.state_gradients is None:
                raise ValueError(MISSING.format(what="gates().gradients"))
            gates = gates_of(call.cell)
            for steps, location in zip(steps_of(call), call.locations, strict=True):
                within = steps.within([gate.before for gate in gates])
                for gate, gradient in zip(gates, within, strict=True):
                    found.setdefault(Label(location, gate.name), []).append(steps.spread(gradient, 0.0))
    return {label: joined(parts, 0.0) for label, parts in found.items()}
