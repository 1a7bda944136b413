"""The limit on the time of a run, and how much of it is used."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, NamedTuple

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Timer
from lightning.pytorch.trainer.states import RunningStage
from torch import nn

from gatewise.data.batches import Batches
from gatewise.progress import Progress, say
from gatewise.tasks import world
from gatewise.tasks.module import TaskModule

# What ends a run beside its scores: the best weights are read and the learning curve is drawn, in about two seconds
# of one core of an AMD EPYC (Zen 5).
_CLOSING_SECONDS = 2.0
# Several processes part from each other, and the one that has started them reads the weights too.
_PARTING_SECONDS = 3.0
# Estimates of time waver: nothing is cut for the sake of less than a fifth.
_ENOUGH = 0.8
_TRIAL_BATCHES = 3


class Trial(NamedTuple):
    """A part of long work, to see how long the whole will take.

    Attributes:
        run: does the part.
        times: how many times as much the whole is.
    """

    run: Callable[[], object]
    times: float


class TimeLimit(Timer):
    """Stops training where scoring the held-out data once more, and the final scores, would end after the limit.

    The time counts from the start of the command, and with it that of a run before a resume. How long scoring takes is
    tried on a few batches before the first step, and measured from then on. A run without weights takes one step and
    scores it, whatever the time, on as much of the held-out data as there is time for; so are the final scores.

    Of several processes the main one decides, by its clock.

    Args:
        minutes: the limit, if any.
        began_at: when the command began, by `time.monotonic`.
        has_weights: whether the run has weights already, so that it may stop before its first step.
        held_out: the batches of the held-out data.
        final_cost: how long the final scores take, in scorings of the held-out data, without searching.
        search: a trial of searching for answers, which is done for the final scores alone.

    Attributes:
        made_steps: whether any step was made.
    """

    def __init__(
        self,
        minutes: float | None,
        began_at: float,
        has_weights: bool,
        held_out: Batches,
        final_cost: float = 1.0,
        search: Trial | None = None,
    ) -> None:
        super().__init__(duration=None if minutes is None else timedelta(minutes=minutes), verbose=False)
        self._has_weights = has_weights
        self._held_out, self._final_cost, self._search = held_out, final_cost, search
        self._start_time[RunningStage.TRAINING] = began_at
        self._trains_from: float | None = None
        self._step_from = self._step_seconds = 0.0
        self._validation_seconds = self._search_seconds = 0.0
        self._share_validated = 1.0
        self._fraction = 0.0
        self._processes = world.size()
        self.made_steps = False

    def state_dict(self) -> dict[str, Any]:
        """What was used, from when on it was for training, and what was measured."""
        return {
            **super().state_dict(),
            "trains_from": self._trains_from,
            "step_seconds": self._step_seconds,
            "validation_seconds": self._validation_seconds,
            "search_seconds": self._search_seconds,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from them."""
        super().load_state_dict(state_dict)
        self._trains_from = state_dict.get("trains_from")
        self._step_seconds = state_dict.get("step_seconds", 0.0)
        self._validation_seconds = state_dict.get("validation_seconds", 0.0)
        self._search_seconds = state_dict.get("search_seconds", 0.0)

    @property
    def batches(self) -> Batches:
        """The held-out data, each time in as many batches as there is time for."""
        return _TimedBatches(self._held_out, self._share_to_validate)

    @property
    def final_seconds(self) -> float:
        """How long the final scores will take, as far as that is known."""
        return self._final_cost * self._validation_seconds + self._search_seconds

    def fraction(self) -> float:
        """The fraction of the time for training that is used: 0 without a limit, and before training."""
        if self._duration is None or self._trains_from is None:
            return 0.0
        if world.size() > 1:  # all follow one schedule: that of the main process after the step before
            return self._fraction
        return self._fraction_now()

    def seconds_left(self) -> float:
        """The time left for training; infinite without a limit."""
        return max(0.0, self._left - self._reserved)

    def share_to_score(self) -> float:
        """The share of the data to score at the end that there is time for, with a notice where that is not all."""
        share = self._share(self.final_seconds)
        if share < 1:
            part = f"{100 * share:.2g} % of the data"
            say(f"warning: the time is up: about {part} is scored; gatewise evaluate scores all")
        return share

    def on_fit_start(self, trainer: Trainer, *args: Any, **kwargs: Any) -> None:
        """Stop before the first step if the time was used before a resume."""
        if self._has_weights:
            super().on_fit_start(trainer, *args, **kwargs)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Training begins; the clock runs already."""
        if self._duration is not None and not self._validation_seconds:
            self._try_validation(trainer, pl_module)
            self._try_search(pl_module)
        self._step_from = self.time_elapsed()
        if self._trains_from is None:
            self._trains_from = self._step_from
        self._share_fraction()

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any, **kwargs: Any) -> None:
        """Stop here if another step, and what follows, would take too long."""
        if isinstance(pl_module, TaskModule) and not pl_module.ended_step:
            return
        now = self.time_elapsed()
        self._step_from, self._step_seconds = now, now - self._step_from
        self.made_steps = True
        super().on_train_batch_end(trainer, pl_module, *args, **kwargs)
        self._share_fraction()
        if trainer.should_stop and self._has_weights and self._decides(self._share(self._validation_seconds) < 1):
            say("warning: the time is up: the last steps are not validated, and the best weights before them are kept")
            trainer.limit_val_batches = 0

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure; stop here if another step, and what follows, would take too long."""
        super().on_validation_end(trainer, pl_module)
        self._has_weights = True
        if self._share_validated == 1:
            self._validation_seconds = self.time_elapsed(RunningStage.VALIDATING)
        if self._duration is not None:
            self._try_search(pl_module)
            self._check_time_remaining(trainer)
            self._share_fraction()
        self._step_from = self.time_elapsed()

    def _fraction_now(self) -> float:
        assert self._duration is not None
        assert self._trains_from is not None
        available = self._duration - self._reserved - self._trains_from
        return 1.0 if available <= 0 else min(1.0, max(0.0, (self.time_elapsed() - self._trains_from) / available))

    def _share_fraction(self) -> None:
        """Take the main process's fraction, until the next time."""
        if self._duration is not None and world.size() > 1:
            self._fraction = world.from_main(self._fraction_now())

    def _decides(self, decision: bool) -> bool:
        """What the main process decides."""
        return world.any_of(decision and world.is_main())[0]

    @property
    def _left(self) -> float:
        return math.inf if self._duration is None else self._duration - self.time_elapsed()

    @property
    def _closing_seconds(self) -> float:
        return _CLOSING_SECONDS + (_PARTING_SECONDS if self._processes > 1 else 0)

    @property
    def _reserved(self) -> float:
        """What is kept for scoring; of a short time half is for training, and less is scored at the end."""
        half = max(0.0, (self._duration or 0.0) - (self._trains_from or 0.0)) / 2
        if self._has_weights:  # then only all of the held-out data will do
            half = max(0.0, half - self._validation_seconds / 2)
            return self._validation_seconds + min(self.final_seconds, half) + self._closing_seconds
        return min(self._validation_seconds + self.final_seconds, half) + self._closing_seconds

    def _share(self, seconds: float) -> float:
        """The share of some work that there is time for."""
        left = max(0.0, self._left - self._closing_seconds)
        return 1.0 if left >= _ENOUGH * seconds else left / seconds

    def _share_to_validate(self) -> float:
        """All, once there are weights: shares of the data do not compare."""
        share = 1.0 if self._has_weights else self._share(self._validation_seconds + self.final_seconds)
        self._share_validated = share = world.from_main(share)
        return share

    def _try_validation(self, trainer: Trainer, module: LightningModule) -> None:
        """See how long the held-out data takes."""
        seconds: list[float] = []
        with Progress("timing the validation"), _evaluating(module), trainer.precision_plugin.val_step_context():
            for batch in self._held_out.sample(_TRIAL_BATCHES):
                began_at = self.time_elapsed()
                module.validation_step(trainer.strategy.batch_to_device(batch), 0)
                seconds.append(self.time_elapsed() - began_at)
        kept = seconds[1:] or seconds  # the first is slower
        self._validation_seconds = len(self._held_out) * sum(kept) / len(kept)

    def _try_search(self, module: LightningModule) -> None:
        """See how long it takes to search for answers."""
        if self._search is not None:
            began_at = self.time_elapsed()
            with Progress("timing the search"), _evaluating(module):
                self._search.run()
            self._search_seconds = self._search.times * (self.time_elapsed() - began_at)

    def _check_time_remaining(self, trainer: Trainer) -> None:
        is_over = self._decides(self._left < self._step_seconds + self._reserved)
        trainer.should_stop = trainer.should_stop or is_over


class _TimedBatches:
    """The held-out data, each time in as many batches as there is time for.

    Args:
        batches: all.
        share: returns the share of them.
    """

    def __init__(self, batches: Batches, share: Callable[[], float]) -> None:
        self._batches, self._share = batches, share

    @property
    def most_steps(self) -> int:
        """Steps times sequences of the largest batch."""
        return self._batches.most_steps

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[Any]:
        share = self._share()
        if share == 1:
            return iter(self._batches)
        count = max(1, int(share * len(self)))
        say(f"warning: the time is nearly up: {count:,} of {len(self):,} batches of the held-out data are validated")
        return self._batches.sample(count)

    def sample(self, count: int, /) -> Iterator[Any]:
        """A sample of the batches."""
        return self._batches.sample(count)


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """In evaluation mode, without gradients."""
    training = [one for one in module.modules() if one.training]
    try:
        with torch.no_grad():
            module.eval()
            yield
    finally:
        for one in training:
            one.training = True
