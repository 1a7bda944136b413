"""The example compares both kinds of runs at equal steps on the three parts of a text."""

import importlib.util
import sys
from pathlib import Path

import pytest


def test_both_kinds_are_trained_and_scored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    path = Path(__file__).parents[2] / "examples" / "regularised_language_model.py"
    spec = importlib.util.spec_from_file_location("regularised_language_model", path)
    assert spec is not None
    assert spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    text, runs = tmp_path / "text.txt", tmp_path / "runs"
    text.write_text("".join(f"the {word} sat on a {word} .\n" for word in ("cat", "dog", "hen", "fox") * 30))
    monkeypatch.setattr(example, "SHARED", {**example.SHARED, "hidden": 8, "embedding": 8, "batch": 4, "window": 5})
    monkeypatch.setattr(sys, "argv", ["x", "--data", str(text), "--seeds", "3", "--epochs", "2", "--out", str(runs)])
    example.main()
    out = capsys.readouterr().out
    rows = [[part.strip() for part in line.split("|")[1:-1]] for line in out.splitlines() if line.startswith("|")][2:]
    assert [row[:2] for row in rows] == [["plain", "3"], ["regularised", "3"]]
    assert [len(example.curve(runs / f"{kind}-3")) for kind in example.KINDS] == [2, 2]
    assert all(1 < float(row[5]) < 30 for row in rows)
    assert f"plain: perplexity {rows[0][5]} on the test part" in out
    parts = example.divide(text, tmp_path)
    assert "".join(parts[name].read_text() for name in ("data", "valid", "test")) == text.read_text()
    assert len(parts["valid"].read_text().splitlines()) == 12
