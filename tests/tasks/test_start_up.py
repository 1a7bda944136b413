"""What opening a run, scoring and predicting load: nothing that takes seconds and is not used."""

import subprocess
import sys

import torch

from gatewise.kernels import door
from tests.tasks.small import TEXT, train_small

OPENING = """
import importlib, io, sys
from gatewise import tasks
from gatewise.cli import main
from gatewise.tasks.task_names import home_of, names

for name in names():
    importlib.import_module(f"{home_of(name)}.trained")
folder, text = sys.argv[1:]
for words in (["evaluate", folder, "--data", text], ["predict", folder, "--prompt", "the", "--length", "3"]):
    try:
        main(words)
    except SystemExit as end:
        assert end.code == 0
slow = "lightning torchmetrics matplotlib sympy torch._dynamo torch._inductor pandas pyarrow sacrebleu".split()
print([name for name in slow if name in sys.modules], file=sys.stderr)
"""


def test_predict_and_evaluate_load_little(tmp_path):
    folder = train_small(tmp_path).folder.path
    (tmp_path / "other.txt").write_text(TEXT)
    command = [sys.executable, "-c", OPENING, str(folder), str(tmp_path / "other.txt")]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    assert run.stderr.splitlines()[-1] == "[]"


def test_a_function_is_marked_as_torch_marks_it():
    def function():
        return True

    torch.compiler.assume_constant_result(function)
    assert vars(door._inside_a_transform) == vars(function)
