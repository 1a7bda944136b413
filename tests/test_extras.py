"""What needs an extra says so in one line, with the command that installs it; everything else works without.

Where an extra is installed, its packages are made impossible to import.
"""

import importlib
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from packaging.requirements import Requirement

import gatewise
from gatewise import extras
from gatewise.data.tables import read_columns
from gatewise.extras import EXTRAS, MissingExtraError, require
from gatewise.tasks.api import resume
from tests.cli.command_line import leave

PACKAGES = [package for packages in EXTRAS.values() for package in packages]
TASKS = (
    "needs lightning, matplotlib, nervaluate, pyarrow, sacrebleu, tokenizers, torchmetrics and tqdm, which are not "
    "installed: pip install 'gatewise[tasks]'"
)
CORE = """
import sys
sys.modules.update(dict.fromkeys({packages}))
import contextlib, io
from gatewise import *
import gatewise, torch
from gatewise.cli import main
from gatewise.equations import tanh

@cell
def elman(x, h, /, W, R, b):
    return tanh(W @ x + R @ h + b)

x = torch.randn(5, 2, 3)
for model in (LSTM(3, 4), Recurrent(elman, 3, 4)):
    with watch(model, gates=True) as trace:
        model(x)[0].square().mean().backward()
    trace.diagnose()
    trace.memory_horizon()
    trace.report("report.html")
    model.step(x[0])
text = io.StringIO()
for words in (["--help"], ["--version"], ["explain", "lstm"], *([verb, "--help"] for verb in
              ("train", "evaluate", "predict", "inspect", "explain")), ["train", "lm", "--help"]):
    try:
        with contextlib.redirect_stdout(text):
            main(words)
    except SystemExit as left:
        assert left.code == 0, words
assert "sigma" in text.getvalue() or "\u03c3" in text.getvalue()
"""


@pytest.fixture
def _nothing_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    for package in PACKAGES:
        monkeypatch.setitem(sys.modules, package, None)


PYPROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())
IMPORTED = {"scikit-learn": "sklearn"}
"""The imported package of each distribution of another name."""


def requirements(extra: str) -> Iterator[Requirement]:
    """What an extra asks for, with that of the extras that it is made of."""
    for one in map(Requirement, PYPROJECT["project"]["optional-dependencies"][extra]):
        if one.name == "gatewise":
            for inner in sorted(one.extras):
                yield from requirements(inner)
        else:
            yield one


@pytest.mark.parametrize("extra", EXTRAS)
def test_the_packages_are_those_of_pyproject(extra: str):
    named = PYPROJECT["project"]["optional-dependencies"][extra]
    own = [one.name for one in map(Requirement, named) if one.name != "gatewise"]
    assert sorted(IMPORTED.get(name, name) for name in own) == sorted(EXTRAS[extra])


def test_all_is_everything_that_users_can_ask_for():
    assert {IMPORTED.get(one.name, one.name) for one in requirements("all")} == set(PACKAGES)


def test_the_core_works_without(tmp_path: Path):
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", CORE.replace("{packages}", repr(PACKAGES))],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "report.html").exists()


@pytest.mark.usefixtures("_nothing_installed")
@pytest.mark.parametrize(
    ("call", "feature"),
    [
        (lambda folder: gatewise.train("lm", data="missing.txt", out=folder), "gatewise.train"),
        (lambda folder: gatewise.load(folder), "gatewise.load"),
        (lambda folder: gatewise.evaluate(folder), "gatewise.evaluate"),
        (lambda folder: gatewise.predict(folder), "gatewise.predict"),
        (lambda folder: gatewise.inspect(folder, "text"), "gatewise.inspect"),
        (lambda folder: resume(folder), "resuming a run"),
        (lambda folder: gatewise.Watch(every=2), "gatewise.Watch"),
    ],
)
def test_functions_of_the_tasks(call, feature: str, tmp_path: Path):
    with pytest.raises(MissingExtraError) as caught:
        call(tmp_path / "run")
    assert str(caught.value) == f"{feature} {TASKS}"
    assert isinstance(caught.value, ModuleNotFoundError)
    assert caught.value.name == "lightning"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("_nothing_installed")
@pytest.mark.parametrize("words", ["train lm --out run", "evaluate run", "predict run", "inspect run --text a"])
def test_commands_of_the_tasks(words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert leave(*words.split()) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == f"gatewise: error: gatewise {words.split()[0]} {TASKS}\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("_nothing_installed")
def test_a_parquet_file(tmp_path: Path):
    path = tmp_path / "a.parquet"
    path.write_bytes(b"PAR1")
    with pytest.raises(MissingExtraError) as caught:
        read_columns(path, ("text",))
    expected = f"{path}: Parquet needs pyarrow, which is not installed: pip install 'gatewise[tasks]'"
    assert str(caught.value) == expected


@pytest.mark.parametrize("task", ["classify", "seq2seq", "numeric"])
def test_pyarrow_before_any_file_is_read(task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("lightning")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    malformed = tmp_path / "a.csv"
    malformed.write_text('"')
    with pytest.raises(MissingExtraError, match=r"gatewise\.train needs pyarrow, which is not installed"):
        gatewise.train(task, data=malformed, valid=tmp_path / "b.parquet", out=tmp_path / "run")


@pytest.mark.usefixtures("_nothing_installed")
def test_plots_and_data_frames():
    layer = gatewise.LSTM(2, 3)
    with gatewise.watch(layer) as trace:
        layer(torch.randn(4, 1, 2))[0].sum().backward()
    drawing = "drawing the gradient flow needs matplotlib, which is not installed: pip install 'gatewise\\[tasks\\]'"
    with pytest.raises(MissingExtraError, match=drawing):
        trace.plot()
    with pytest.raises(MissingExtraError, match=r"pandas\(\) needs pandas, .*: pip install 'gatewise\[pandas\]'"):
        trace.gradient_flow().pandas()


@pytest.mark.usefixtures("_nothing_installed")
def test_models_from_onnx():
    with pytest.raises(MissingExtraError) as caught:
        gatewise.from_onnx("missing.onnx")
    expected = "gatewise.from_onnx needs onnx, which is not installed: pip install 'gatewise[onnx]'"
    assert str(caught.value) == expected
    with pytest.raises(
        MissingExtraError, match=r"^gatewise\.to_onnx needs onnx, onnxruntime and onnxscript, which are "
    ):
        gatewise.to_onnx(torch.nn.Linear(2, 3), (torch.randn(2),), "missing.onnx")


@pytest.mark.usefixtures("_nothing_installed")
def test_files_of_keras():
    with pytest.raises(MissingExtraError) as caught:
        gatewise.from_keras("missing.keras")
    expected = "reading files of Keras needs h5py, which is not installed: pip install 'gatewise[keras]'"
    assert str(caught.value) == expected


def test_a_folder_of_the_same_name_is_no_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "event_files").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    assert not extras.installed("event_files")
    (tmp_path / "event_files" / "__init__.py").touch()
    importlib.invalidate_caches()
    assert extras.installed("event_files")


def test_what_is_installed_is_not_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(extras, "installed", lambda package: package not in ("tqdm", "tokenizers"))
    with pytest.raises(MissingExtraError, match=r"^it needs tokenizers and tqdm, which are not"):
        require("it", "tasks")
    require("it", "tasks", "lightning")
    require("it", "pandas")
