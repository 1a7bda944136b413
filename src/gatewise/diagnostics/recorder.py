"""What is told while a model is watched: calls, passes, clipping, updates."""

from collections import deque
from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook
from torch.utils.hooks import RemovableHandle

from gatewise.diagnostics.loss_steps import LossSteps
from gatewise.diagnostics.not_finite import NotFinite, first_not_finite
from gatewise.diagnostics.passes import Pass
from gatewise.diagnostics.recorded import Ear, Listener, RecordedCall
from gatewise.diagnostics.updates import Update, Updates
from gatewise.kernels import recording
from gatewise.layers import Recurrent
from gatewise.layers.clipping import Clipped, clips_told_to


class Recorder(Listener):
    """Gathers the calls of a model into passes.

    A pass ends with its backward pass, or, with gradients off, when a layer is called again. Where a layer was called
    several times in a pass, its calls follow each other in time.

    Attributes:
        passes: the last ones, as many as ``keep``.
        clips: what `gatewise.Clip` has done.
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

    def sink(self, owner: nn.Module, layer: int) -> Ear:
        """For a call of one layer."""
        assert isinstance(owner, Recurrent)
        return Ear(RecordedCall(self, self._name_of[owner], layer, self.keeps_all))

    def began(self, call: RecordedCall) -> None:
        """A call is about to be run."""
        # Inside a backward pass layers are called again to recompute what was not kept.
        recomputing = torch._C._current_graph_task_id() != -1
        if not self.passes or (not recomputing and self._ends(self.passes[-1], call)):
            self._look_for_not_finite()
            self.passes.append(Pass())
            self._passes_begun += 1
        elif not recomputing:
            self.passes[-1].forget_abandoned(call)
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

    def _returned(self, layer: nn.Module, arguments: object, returned: tuple[Any, Any]) -> None:
        """A watched module has returned; its gradients tell where losses enter."""
        assert isinstance(layer, Recurrent)
        highest = self._name_of[layer], layer.num_layers - 1
        calls = reversed(self.passes[-1].calls if self.passes else ())
        call = next((call for call in calls if (call.module, call.layer) == highest), None)
        if call is not None and call.loss_steps is None:
            call.loss_steps = LossSteps(layer, call.steps)
            call.loss_steps.follow(*returned)

    def reached(self, call: RecordedCall) -> None:
        """The first gradients of a call have come."""
        for one in self.passes:
            if not one.reached:
                one.reached = any(call is other for other in one.calls)

    def clipped(self, parameters: Sequence[Tensor], event: Clipped) -> None:
        """Gradients were clipped, perhaps those of this model."""
        if any(id(parameter) in self._parameter_name for parameter in parameters):
            self.clips.append(event)

    @property
    def updates(self) -> list[Update]:
        """The steps of optimisers: all of the first 128; of more, so many spread evenly over them."""
        return self._updates.all()

    def _before_step(self, optimiser: Optimizer, arguments: object, options: object) -> None:
        self._updates.begin(optimiser)
        self._hold_weights(self._updates.before, self._updates.before)

    def _after_step(self, optimiser: Optimizer, arguments: object, options: object) -> None:
        # A step may have run passes itself, by a closure, on the weights from before it.
        self._hold_weights(self._updates.before, self._updates.before)
        self._updates.end(optimiser)

    def _hold_weights(self, changing: Container[int], copies: dict[int, Tensor]) -> None:
        for one in self.passes:
            for call in one.calls:
                if call.uses(changing):
                    call.keep_weights(copies)

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Record within the block; it may be entered again later."""
        hooks: list[RemovableHandle] = [
            register_optimizer_step_pre_hook(self._before_step),
            register_optimizer_step_post_hook(self._after_step),
        ]
        for module in self.modules.values():
            recording.add(module, self)
            hooks.append(module.register_forward_hook(self._returned))
        try:
            with clips_told_to(self.clipped):
                yield
        finally:
            for module in self.modules.values():
                recording.remove(module, self)
            for hook in hooks:
                hook.remove()
            # Nobody will tell of later writes to the weights, so hold them as they are.
            self._hold_weights(self._parameter_name, {})
