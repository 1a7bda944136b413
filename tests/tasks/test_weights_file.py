"""Weights in a file that says what it is."""

import re

import pytest
import safetensors.torch
import torch
from torch import nn

from gatewise.tasks.weights_file import load_weights, read_facts, save_weights


@pytest.fixture
def saved(tmp_path):
    model = nn.Linear(3, 2)
    save_weights(tmp_path / "weights", model.state_dict(), epoch="4")
    return tmp_path / "weights", model


def test_weights_and_facts_come_back(saved):
    path, model = saved
    other = nn.Linear(3, 2)
    load_weights(path, other)
    assert torch.equal(other.weight, model.weight)
    assert torch.equal(other.bias, model.bias)
    assert read_facts(path)["epoch"] == "4"


@pytest.mark.parametrize("keep", [0, 4, 100, -1])
def test_a_truncated_file(saved, keep):
    path, model = saved
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=re.escape(f"{path}: not a file of weights, or a corrupt one")):
        load_weights(path, model)


def test_a_foreign_file(saved):
    path, model = saved
    safetensors.torch.save_file(model.state_dict(), path)
    with pytest.raises(ValueError, match="expected gatewise-weights version 1, got None version None"):
        read_facts(path)


def test_weights_of_another_shape(saved):
    with pytest.raises(ValueError, match=re.escape("bias is (2,), the configuration expects (5,)")):
        load_weights(saved[0], nn.Linear(3, 5))


def test_weights_of_another_model(saved):
    with pytest.raises(ValueError, match=re.escape("bias is (2,), the configuration expects none")):
        load_weights(saved[0], nn.Linear(3, 2, bias=False))


def test_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="missing"):
        read_facts(tmp_path / "missing")
