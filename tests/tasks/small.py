"""A language model that trains in a second."""

from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from gatewise.tasks.language_model.options import LanguageModelOptions
from gatewise.tasks.language_model.trained import TrainedLanguageModel
from gatewise.tasks.language_model.training import TASK, LanguageModelModule
from gatewise.tasks.train_run import start

TEXT = "the quick brown fox jumps over the lazy dog,\nand the dog sleeps on.\n" * 12

SMALL: dict[str, Any] = {"hidden": 8, "embedding": 4, "epochs": 2, "batch": 4, "window": 50, "dropout": 0.25}


def small_options(folder: Path, **changes: Any) -> LanguageModelOptions:
    data = folder / "text.txt"
    if not data.exists():
        data.write_text(TEXT)
    return LanguageModelOptions(**{"data": (data,), "out": folder / "run", **SMALL, **changes})


def train_small(folder: Path, **changes: Any) -> TrainedLanguageModel:
    trained = start(TASK, small_options(folder, **changes))
    assert isinstance(trained, TrainedLanguageModel)
    return trained


def train_until_a_step_breaks(number: int, folder: Path, **changes: Any) -> None:
    """Train until the step with this number, counted from 0, raises something."""
    step = LanguageModelModule.training_step

    def failing(self: LanguageModelModule, batch: Any, batch_idx: int) -> Any:
        if self.global_step == number:
            raise RuntimeError("mine")
        return step(self, batch, batch_idx)

    with (
        mock.patch.object(LanguageModelModule, "training_step", failing),
        pytest.raises(RuntimeError, match="mine"),
    ):
        train_small(folder, **changes)


def losses(run: Path) -> list[list[str]]:
    """The rows of the metrics without the speed, which no two runs share."""
    return [
        [value for column, value in enumerate(line.split(",")) if column != 6]
        for line in (run / "metrics.csv").read_text().splitlines()
    ]
