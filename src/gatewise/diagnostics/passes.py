"""Calls that belong together."""

from dataclasses import dataclass, field

from gatewise.diagnostics.recorded import RecordedCall


@dataclass
class Pass:
    """Calls that belong together: those up to and with a backward pass.

    Attributes:
        calls: in order.
        reached: whether its backward pass has begun.
    """

    calls: list[RecordedCall] = field(default_factory=list)
    reached: bool = False

    def forget_abandoned(self, call: RecordedCall) -> None:
        """Forget earlier calls of a call's layer that no backward pass can reach: their outputs are gone."""
        self.calls = [
            one for one in self.calls if not one.abandoned or (one.module, one.layer) != (call.module, call.layer)
        ]

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
