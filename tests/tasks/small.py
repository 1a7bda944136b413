"""A language model that trains in a second."""

from pathlib import Path
from typing import Any

from gatewise.tasks.language_model.options import LanguageModelOptions
from gatewise.tasks.language_model.trained import TrainedLanguageModel
from gatewise.tasks.language_model.training import TASK
from gatewise.tasks.running import start

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


def losses(run: Path) -> list[list[str]]:
    """The rows of the metrics without the speed, which no two runs share."""
    return [
        [value for column, value in enumerate(line.split(",")) if column != 6]
        for line in (run / "metrics.csv").read_text().splitlines()
    ]
