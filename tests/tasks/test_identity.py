"""Weights of runs record their cells; those of earlier runs, which do not, are of the cell that the run names."""

import json
import math
from pathlib import Path

import pytest
import safetensors
import safetensors.torch
import torch

import gatewise
from gatewise.interchange.identity import HEADER_KEY, from_header, identities_of
from gatewise.tasks.language_model.training import TASK
from gatewise.tasks.train_run import resume
from gatewise.tasks.weights_file import _checksum, read_facts
from tests.tasks.small import train_small, train_until_a_step_breaks


def without_identities(run: Path) -> None:
    """Make the weights and the state of a run those of a version that wrote no identities."""
    path = run / "weights.safetensors"
    weights, facts = safetensors.torch.load_file(path), read_facts(path)
    del facts["sha256"]
    if facts.pop(HEADER_KEY, None) is not None:
        facts["sha256"] = _checksum(weights, facts)
        safetensors.torch.save_file(weights, path, facts)
    if (run / "state.ckpt").exists():
        state = torch.load(run / "state.ckpt", weights_only=True)
        state["state_dict"] = dict(state["state_dict"])
        for callback in state["callbacks"].values():
            if "average" in callback:
                callback["average"] = dict(callback["average"])
        torch.save(state, run / "state.ckpt")


def test_the_file_has_the_cell_of_each_layer(tmp_path):
    train_small(tmp_path, cell="gru_chung2014", epochs=1)
    found = from_header(read_facts(tmp_path / "run/weights.safetensors"))
    assert {path: identity["cell"] for path, identity in found.items()} == {"recurrent": "gru_chung2014"}


def test_weights_of_another_cell_of_the_same_shapes_are_rejected(tmp_path):
    train_small(tmp_path, cell="gru_chung2014", epochs=1)
    config = tmp_path / "run/config.toml"
    config.write_text(config.read_text().replace("gru_chung2014", "gru_cho2014"))
    message = r"weights\.safetensors: .*recurrent: these weights are of the cell gru_chung2014 "
    with pytest.raises(ValueError, match=f"(?s){message}"):
        gatewise.load(tmp_path / "run")
    without_identities(tmp_path / "run")  # an earlier run: its description has the cell
    with pytest.raises(ValueError, match=f"(?s){message}"):
        gatewise.load(tmp_path / "run")
    description = json.loads((tmp_path / "run/run.json").read_text())
    (tmp_path / "run/run.json").write_text(json.dumps({**description, "cell": "gru"}))
    with pytest.raises(ValueError, match=r"run\.json: not the text of a cell"):
        gatewise.load(tmp_path / "run")


def test_an_earlier_run_is_loaded_and_resumed(tmp_path):
    changes = {"cell": "gru_chung2014", "average": "ema", "dropout": 0.0}
    whole = train_small(tmp_path, **changes, out=tmp_path / "whole")
    train_until_a_step_breaks(6, tmp_path, **changes)
    state = torch.load(tmp_path / "run/state.ckpt", weights_only=True)["state_dict"]
    assert set(identities_of(state)) == {"model.recurrent"}
    without_identities(tmp_path / "run")
    early = gatewise.load(tmp_path / "run")
    assert all(bool(weight.isfinite().all()) for weight in early.model.parameters())
    resumed = resume(TASK, tmp_path / "run")
    one, other = (trained.final_scores()["held_out"]["loss"] for trained in (whole, resumed))
    assert math.isclose(one, other, rel_tol=1e-6)
