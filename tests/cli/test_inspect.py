"""``gatewise inspect`` as a user types it."""

import json
import math

import pytest
import torch

import gatewise
from gatewise.tasks.weights_file import read_facts, save_weights
from tests.cli.command_line import leave
from tests.tasks.small import TEXT, train_small


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return train_small(tmp_path_factory.mktemp("inspect"), layers=2).folder


@pytest.fixture
def sick(tmp_path):
    """A trained run whose lower layer has a forget gate that is shut."""
    run = train_small(tmp_path, layers=2).folder
    model = gatewise.load(run.path).model
    with torch.no_grad():
        model.recurrent.get_parameter("bias_ih_l0")[8:16] = -50.0
    facts = read_facts(run.weights)
    del facts["sha256"]  # of the weights that were saved before
    save_weights(run.weights, model.state_dict(), **facts)
    return run.path


def test_a_healthy_model(run, capsys):
    assert leave("inspect", run.path, "--text", "the quick brown fox jumps") == 0
    out = capsys.readouterr().out
    assert out.startswith("nothing found\n")
    assert "recurrent.l0: the gradient" in out
    assert "recurrent.l1: the gradient" in out
    assert out.endswith(f"report of 24 steps: {run.path / 'report.html'}\n")
    page = (run.path / "report.html").read_text()
    assert '"tokens": ["t", "h", "e", " ", "q"' in page


def test_a_finding_is_a_row_with_advice(sick, capsys):
    assert leave("inspect", sick, "--text", TEXT) == 0
    head, row, after, advice, *_ = capsys.readouterr().out.splitlines()
    assert head.split() == ["layer", "finding", "evidence"]
    assert row.split("  ")[:2] == ["recurrent.l0", "gate stuck closed"]
    assert row.index("100% of the units of f") == head.index("evidence")
    assert after == "  So also: vanishing."
    assert advice.startswith("  Set the bias of the forget gate to about 1")
    assert advice.endswith("See gatewise explain gates")


def test_findings_as_json(sick, capsys):
    assert leave("inspect", sick, "--json", "--text", TEXT) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["layer"], found["kind"], found["consequences"]) == (
        "recurrent.l0",
        "gate stuck closed",
        ["vanishing"],
    )
    assert found["numbers"]["stuck low"] == 1.0


def test_files_a_limit_and_another_report(run, tmp_path, capsys):
    for name in ("a", "b"):
        (tmp_path / name).write_text(TEXT)
    report = tmp_path / "page.html"
    files = ["--data", tmp_path / "a", tmp_path / "b"]
    assert leave("inspect", run.path, *files, "--steps", "900", "--out", report) == 0
    assert capsys.readouterr().out.endswith(f"report of 900 steps: {report}\n")
    assert report.exists()


def test_python_interface_leaves_the_model_unchanged(run, tmp_path):
    model = gatewise.load(run.path)
    found = model.inspect("the dog sleeps", out=tmp_path / "report.html")
    assert found.tokens == list("the dog sleep")
    assert (found.rows(), str(found)) == ([], "")
    trace = found.trace
    assert len(trace.gradient_flow()["recurrent.l1.h"]) == 13
    assert math.isfinite(float(trace.contributions()["recurrent.weight_hh_l0"].sum()))
    assert all(parameter.grad is None for parameter in model.model.parameters())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "give either text or data"),
        (["--text", "a", "--series", "b"], "--series is not supported by this model (it reads text)"),
        (["--text", "a", "--data", "b"], "give either text or data"),
        (["--text", ""], "the text has 0 tokens (unit char); at least 2 are needed"),
        (["--text", "t"], "the text has 1 tokens"),
        (["--text", "the", "--steps", "0"], "steps: expected a number of tokens, at least 1, got 0"),
        (["--text", "the", "--out", "no/such/report.html"], "no/such/report.html: its folder does not exist"),
        (["--text", "the\udcff"], "--text: character 4 is the byte 0xff, which is not UTF-8"),
        (["--data", "no.txt"], "no.txt: No such file or directory"),
    ],
)
def test_usage_error_is_one_line(run, tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    assert leave("inspect", run.path, *words) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("gatewise: error: ")
    assert captured.err.count("\n") == 1
    assert message in captured.err
    assert captured.out == ""
    assert not list(tmp_path.iterdir())


def test_no_run(tmp_path, capsys):
    assert leave("inspect", tmp_path / "missing", "--text", "the") == 2
    assert capsys.readouterr().err.endswith("missing: no such run folder\n")
