"""The observer of a watched model: calls, passes, clipping, optimiser steps."""

from collections import deque
from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook
from torch.utils.hooks import RemovableHandle

from gatewise.diagnostics.call_record import CallObserver, CallRecord, CallSink
from gatewise.diagnostics.loss_steps import LossSteps
from gatewise.diagnostics.not_finite import NotFinite, first_not_finite
from gatewise.diagnostics.updates import Update, Updates
from gatewise.kernels import observers
from gatewise.layers import Recurrent
from gatewise.layers.clipping import Clipped, observe_clipping


@dataclass
class Pass:
    """The calls of a model up to and including a backward pass.

    Attributes:
        calls: in order.
        reached: whether the backward pass has begun.
    """

    calls: list[CallRecord] = field(default_factory=list)
    reached: bool = False

    def discard_abandoned(self, call: CallRecord) -> None:
        """Discard earlier calls of this layer that no backward pass can reach, since their outputs were freed."""
        self.calls = [
            one for one in self.calls if not one.abandoned or (one.module, one.layer) != (call.module, call.layer)
        ]

    def of_layers(self, *, with_gradients: bool) -> list[list[CallRecord]]:
        """The calls of each layer, in order; only those with gradients where there are any."""
        by_layer: dict[tuple[str, int], list[CallRecord]] = {}
        for call in self.calls:
            by_layer.setdefault((call.module, call.layer), []).append(call)
        found: list[list[CallRecord]] = []
        for calls in by_layer.values():
            # Recomputation (torch.utils.checkpoint) calls a layer twice, and gradients reach the second call.
            reached = [call for call in calls if call.has_gradients]
            if reached or not with_gradients:
                found.append(reached or calls)
        return found


class ModelObserver(CallObserver):
    """Groups the calls of a model into passes.

    A pass ends with its backward pass, or, without gradients, when a layer is called again. If a layer was called
    several times in a pass, its calls are consecutive in time.

    Attributes:
        passes: the last ``keep`` passes.
        clips: the events of gradient clipping.
    """

    def __init__(self, model: nn.Module, *, gates: bool, keep: int) -> None:
        self.keeps_all = gates
        self.modules = {name: module for name, module in model.named_modules() if isinstance(module, Recurrent)}
        self._name_of = {module: name for name, module in self.modules.items()}
        self._parameter_name = {id(parameter): name for name, parameter in model.named_parameters()}
        self.passes: deque[Pass] = deque(maxlen=keep)
        self._updates = Updates(self._parameter_name)
        self.clips: list[Clipped] = []
        self._passes_begun = 0
        self._not_finite: NotFinite | None = None
        only = list(self.modules.values())
        self.short = len(only) == 1 and only[0].num_layers == 1 and not only[0].bidirectional

    def sink(self, owner: nn.Module, layer: int) -> CallSink:
        """The sink for a call of one layer."""
        assert isinstance(owner, Recurrent)
        return CallSink(CallRecord(self, self._name_of[owner], layer, self.keeps_all))

    def began(self, call: CallRecord) -> None:
        """Called before a call runs."""
        # During a backward pass, layers are called again by recomputation (torch.utils.checkpoint).
        recomputing = torch._C._current_graph_task_id() != -1
        if not self.passes or (not recomputing and self._ends(self.passes[-1], call)):
            self._check_finite()
            self.passes.append(Pass())
            self._passes_begun += 1
        elif not recomputing:
            self.passes[-1].discard_abandoned(call)
        self.passes[-1].calls.append(call)

    def _check_finite(self) -> None:
        if self._not_finite is None and self.passes:
            found = first_not_finite(self.passes[-1].calls)
            if found is not None:
                self._not_finite = NotFinite(*found, self._passes_begun - 1)

    @property
    def first_not_finite(self) -> NotFinite | None:
        """The first NaN or infinity, also in discarded passes; None if there was none."""
        self._check_finite()
        return self._not_finite

    @staticmethod
    def _ends(last: Pass, call: CallRecord) -> bool:
        called_before = any((one.module, one.layer) == (call.module, call.layer) for one in last.calls)
        return last.reached or (not call.with_history and called_before)

    def _returned(self, layer: nn.Module, arguments: object, returned: Any) -> None:
        """Forward hook: the gradients of the outputs show at which steps losses enter."""
        assert isinstance(layer, Recurrent)
        highest = self._name_of[layer], layer.num_layers - 1
        calls = reversed(self.passes[-1].calls if self.passes else ())
        call = next((call for call in calls if (call.module, call.layer) == highest), None)
        if call is not None and call.loss_steps is None:
            call.loss_steps = LossSteps(layer, call.steps, call.output_steps)
            call.loss_steps.observe(*(returned if layer.return_state else (returned, ())))

    def reached(self, call: CallRecord) -> None:
        """Called with the first gradients of a call."""
        for one in self.passes:
            if not one.reached:
                one.reached = any(call is other for other in one.calls)

    def clipped(self, parameters: Sequence[Tensor], event: Clipped) -> None:
        """Called when gradients are clipped, of this or another model."""
        if any(id(parameter) in self._parameter_name for parameter in parameters):
            self.clips.append(event)

    @property
    def updates(self) -> list[Update]:
        """The measured steps of optimisers: the first 128, or at most 128 evenly spaced ones of more."""
        return self._updates.all()

    def _before_step(self, optimiser: Optimizer, arguments: object, options: object) -> None:
        self._updates.begin(optimiser)
        self._hold_weights(self._updates.before, self._updates.before)

    def _after_step(self, optimiser: Optimizer, arguments: object, options: object) -> None:
        # A step with a closure may have run passes on the previous weights.
        self._hold_weights(self._updates.before, self._updates.before)
        self._updates.end(optimiser)

    def _hold_weights(self, changing: Container[int], copies: dict[int, Tensor]) -> None:
        for one in self.passes:
            for call in one.calls:
                if call.uses(changing):
                    call.keep_weights(copies)

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Record inside the block; may be entered repeatedly."""
        hooks: list[RemovableHandle] = [
            register_optimizer_step_pre_hook(self._before_step),
            register_optimizer_step_post_hook(self._after_step),
        ]
        for module in self.modules.values():
            observers.add(module, self)
            hooks.append(module.register_forward_hook(self._returned))
        try:
            with observe_clipping(self.clipped):
                yield
        finally:
            for module in self.modules.values():
                observers.remove(module, self)
            for hook in hooks:
                hook.remove()
            # Later writes to the weights will not be observed, so copy them.
            self._hold_weights(self._parameter_name, {})
