"""Memory horizon: how far back a gradient reaches through a layer's recurrence."""

import math
from dataclasses import dataclass, replace
from statistics import linear_regression

import torch
from torch import Tensor

from gatewise.diagnostics.call_record import CallObserver, CallRecord, Location
from gatewise.kernels import Call, run
from gatewise.kernels.observers import Record

VANISHED, EXPLODED = 0.01, 100.0


@dataclass(frozen=True)
class Horizon:
    """How far back a gradient from the last step reaches.

    Attributes:
        location: the layer and direction.
        steps: number of steps until its norm has fallen to 1 % or grown 100-fold; extrapolated with the fitted rate
            where the sequence is too short, and infinite where the norm hardly changes.
        rate: the factor per step, fitted to the logarithm of the norm.
        outcome: ``vanishes``, ``explodes`` or ``lasts``.
        seen: whether the steps were observed, not extrapolated.
        norms: (K,) the norm after 0, 1, … steps back, relative to that at the last step.
    """

    location: Location
    steps: float
    rate: float
    outcome: str
    seen: bool
    norms: Tensor

    def __str__(self) -> str:
        if self.outcome == "lasts":
            return f"{self.location}: the gradient lasts (factor {self.rate:.4g} per step)"
        verb = "falls to 1 %" if self.outcome == "vanishes" else "grows 100-fold"
        of = f" of {len(self.norms)}" if self.seen else ""
        how = "" if self.seen else f", extrapolated from {len(self.norms)}"
        return (
            f"{self.location}: the gradient {verb} in {self.steps:.3g}{of} steps (factor {self.rate:.4g} per step{how})"
        )


def horizons_of(record: CallRecord) -> list[Horizon]:
    """The horizon of each direction of a call.

    The call is run again with one gradient of random direction at the last step of each row's output, so that losses at
    other steps do not mask the decay.
    """
    return [
        _horizon(single, location)
        for single, location in zip(record.recompute_call().single_directions(), record.locations, strict=True)
    ]


def _horizon(call: Call, location: Location) -> Horizon:
    sink = CallRecord(CallObserver(), location.module, location.layer, keep_all=False)
    probe = call.with_tensors(tuple(tensor.detach().requires_grad_() for tensor in call.tensors))
    probe = replace(probe, record=Record((sink,)))
    with torch.enable_grad():
        _, finals = run(probe)
    draw = torch.Generator().manual_seed(0)
    gradient = torch.randn(finals[0].shape, generator=draw, dtype=torch.float64).to(finals[0])
    torch.autograd.grad(finals[0], probe.initial, gradient, allow_unused=True)
    return _fitted(location, profile(probe, sink.gradient_norms[0]))


def profile(call: Call, norms: Tensor) -> Tensor:
    """The norm over states at 0, 1, … steps before each row's last, relative to the last, up to the nearest reset.

    It is the root mean square over rows.

    Args:
        call: one direction.
        norms: (S, T, B).
    """
    steps, batch = call.x.shape[:2]
    square = norms.double().square().sum(dim=0)  # (T, B)
    time = torch.arange(steps, device=square.device)[:, None]
    lengths = torch.full((batch,), steps, device=square.device) if call.lengths is None else call.lengths
    flags = torch.zeros((steps, batch), dtype=torch.bool, device=square.device) if call.reset is None else call.reset
    if call.directions == "forward":
        back = lengths - 1 - time
        first = torch.where(flags & (time < lengths), time, 0).amax(dim=0)
        alive = (time >= first) & (time < lengths)
    else:
        back = time.expand(steps, batch)
        # A boundary at t is between t and t − 1, and a reverse gradient propagates from t = 0.
        later = torch.where(flags & (time > 0) & (time < lengths), time, steps).amin(dim=0)
        alive = (time < later) & (time < lengths)
    start = torch.where((back == 0) & alive, square, 0.0).sum(dim=0)
    alive &= start > 0
    square = square / torch.where(start > 0, start, 1.0)
    total = square.new_zeros(steps)
    count = square.new_zeros(steps)
    total.index_add_(0, back[alive], square[alive])
    count.index_add_(0, back[alive], torch.ones_like(square[alive]))
    reached = int((count > 0).sum())
    return (total[:reached] / count[:reached]).sqrt()


def _fitted(location: Location, norms: Tensor) -> Horizon:
    values = norms.tolist()
    usable = [(index, math.log(value)) for index, value in enumerate(values) if 0 < value < math.inf]
    usable = usable[: next((index for index, (step, _) in enumerate(usable) if step != index), len(usable))]
    rate = math.exp(linear_regression(*zip(*usable, strict=True)).slope) if len(usable) > 1 else math.nan
    if len(usable) < len(values) and len(usable) == 1:
        rate = 0.0 if values[1] == 0 else math.inf
    for index, value in enumerate(values):
        if value <= VANISHED:
            return Horizon(location, index, rate, "vanishes", True, norms)
        if value >= EXPLODED or math.isnan(value):
            return Horizon(location, index, rate, "explodes", True, norms)
    slope = math.log(rate) if rate and math.isfinite(rate) else 0.0
    if abs(slope) * max(len(values), 1) < 0.01:
        return Horizon(location, math.inf, rate, "lasts", False, norms)
    if slope < 0:
        return Horizon(location, math.log(VANISHED) / slope, rate, "vanishes", False, norms)
    return Horizon(location, math.log(EXPLODED) / slope, rate, "explodes", False, norms)
