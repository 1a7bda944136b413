"""Watching, truncated back-propagation and clipping under Lightning."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor

import gatewise

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers.*"),
    pytest.mark.filterwarnings("ignore:.*GPU.*"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*log_every_n_steps.*"),
]


class Module(LightningModule):
    def __init__(self, cell: str = "lstm") -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = gatewise.Recurrent(cell, 3, 4, dtype=torch.float64)
        self.losses: list[float] = []

    def training_step(self, window: Any, batch_idx: int) -> Tensor:
        losses = (window.run(self.layer) - window.target).square().mean(dim=-1)
        loss = window.mean(losses)
        self.losses.append(float(loss.detach()))
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.5)


class Windows:
    """The windows of some sequences, anew in each epoch."""

    def __init__(self, poison: int | None = None) -> None:
        draw = torch.Generator().manual_seed(1)
        self.x = torch.randn(23, 4, 3, generator=draw, dtype=torch.float64)
        self.target = torch.randn(23, 4, 4, generator=draw, dtype=torch.float64)
        if poison is not None:
            self.x[poison] = torch.nan

    def __iter__(self) -> Any:
        return gatewise.TBPTT(5, 10).windows(self.x, self.target)


def fit(module: Module, windows: Windows, folder: Path, *callbacks: Any, **options: Any) -> None:
    Trainer(
        accelerator="cpu",
        max_epochs=2,
        callbacks=list(callbacks),
        logger=CSVLogger(folder),
        log_every_n_steps=1,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,
    ).fit(module, windows)


def test_truncated_windows_train_like_a_plain_loop(tmp_path: Path):
    module, plain = Module(), Module()
    fit(module, Windows(), tmp_path)
    optimiser = plain.configure_optimizers()
    for _ in range(2):
        for window in Windows():
            plain.training_step(window, 0).backward()
            optimiser.step()
            optimiser.zero_grad()
    assert module.losses == pytest.approx(plain.losses, rel=1e-12)


def test_watches_and_logs(tmp_path: Path):
    module, watch = Module(), gatewise.Watch(keep=20)
    fit(module, Windows(), tmp_path, watch, gradient_clip_val=1e-3)
    assert watch.trace is not None
    assert len(watch.trace.passes) == len(watch.trace.updates) == len(watch.trace.clips) == 10
    assert all(clip.clipped and clip.norm > 1e-3 for clip in watch.trace.clips)
    assert all(update.gradient_norm == pytest.approx(1e-3, rel=1e-3) for update in watch.trace.updates)
    assert [finding.kind for finding in watch.trace.diagnose()] == ["clipping at every step"]
    (metrics,) = tmp_path.rglob("metrics.csv")
    columns = metrics.read_text().splitlines()[0].split(",")
    for name in ("gradient_norm", "clipped", "gradient.h", "gradient.c.first"):
        assert name in columns


def test_clipping_by_value_is_recorded(tmp_path: Path):
    module, watch = Module(), gatewise.Watch()
    fit(module, Windows(), tmp_path, watch, gradient_clip_val=1e-6, gradient_clip_algorithm="value")
    assert watch.trace is not None
    assert all(clip.clipped and clip.values > 0.9 for clip in watch.trace.clips)


def test_every_other_batch(tmp_path: Path):
    module, watch = Module(), gatewise.Watch(every=2, keep=20)
    fit(module, Windows(), tmp_path, watch)
    assert watch.trace is not None
    assert len(watch.trace.updates) == 6  # batches 0, 2, 4 of two epochs


def test_stops_at_the_first_non_finite_value(tmp_path: Path):
    with pytest.raises(ValueError, match=r"diverged at update 2: the first output .* of layer.l0 at step 7"):
        fit(Module(), Windows(poison=7), tmp_path, gatewise.Watch())


def test_every_must_be_a_number_of_batches():
    with pytest.raises(ValueError, match="every: expected a number of batches of at least 1, got 0"):
        gatewise.Watch(every=0)
