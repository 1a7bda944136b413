"""What opening a run, scoring and predicting load: nothing that takes seconds and is not used."""

import subprocess
import sys

import pytest
import torch

import gatewise
from gatewise.kernels import execute
from tests.tasks.forecasting.small import one_series
from tests.tasks.small import TEXT, train_small
from tests.tasks.small_sequences import (
    SMALL,
    SMALL_TOKENS,
    labelled_texts,
    numeric_sequences,
    reversed_words,
    tagged_words,
)

# One process for all: nothing slow is there before a command, if none has loaded it.
OPENING = """
import sys
from gatewise.cli import main

# pyarrow reads tables, and loads pandas where that is installed.
slow = set("lightning torchmetrics matplotlib sympy torch._dynamo torch._inductor sacrebleu".split())
for words in (command.split(" ") for command in sys.argv[1:]):
    before = slow & sys.modules.keys()
    try:
        main(words)
    except SystemExit as end:
        assert end.code == 0
    print([*words, *sorted(slow & sys.modules.keys() - before)], file=sys.stderr)
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A small run of each task, and a file that it is scored on and predicts."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "text.txt").write_text(TEXT)
    (folder / "lm").mkdir()
    train_small(folder / "lm")
    data = {
        "classify": (labelled_texts(folder), SMALL_TOKENS),
        "tag": (tagged_words(folder), {**SMALL_TOKENS, "output": "crf"}),
        "seq2seq": (reversed_words(folder), {"unit": "word", "embedding_size": 8}),
        "numeric": (numeric_sequences(folder, "sequence"), {}),
        "forecast": (one_series(folder), {"horizon": 4, "window": 12}),
    }
    for task, (path, options) in data.items():
        gatewise.train(task, data=path, out=folder / task, **{**SMALL, **options, "epochs": 1})
    return {"lm": (folder / "lm" / "run", folder / "text.txt")} | {
        task: (folder / task, path) for task, (path, _) in data.items()
    }


def test_predict_and_evaluate_load_little(runs):
    words: list[list[str]] = []
    for task, (run, data) in runs.items():
        words.append(["predict", f"{run}", *(["--prompt", "the", "--length", "3"] if task == "lm" else [f"{data}"])])
        if task != "seq2seq":  # of scores, ROUGE alone loads torchmetrics
            words.append(["evaluate", f"{run}", "--data", f"{data}"])
    commands = [" ".join(command) for command in words]
    found = subprocess.run([sys.executable, "-c", OPENING, *commands], capture_output=True, text=True, timeout=120)
    assert found.returncode == 0, found.stderr
    assert [line for line in found.stderr.splitlines() if line.startswith("[")] == [str(command) for command in words]


def test_a_function_is_marked_as_torch_marks_it():
    def function():
        return True

    torch.compiler.assume_constant_result(function)
    assert vars(execute._inside_a_transform) == vars(function)
