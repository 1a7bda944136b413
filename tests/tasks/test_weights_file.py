"""Weights in a file that says what it is."""

import re

import pytest
import safetensors.torch
import torch
from hypothesis import example, given
from hypothesis import strategies as st
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


def test_no_flipped_bit_loads_other_weights(tmp_path_factory):
    model = nn.Linear(3, 2)
    path = tmp_path_factory.mktemp("flipped") / "weights"
    save_weights(path, model.state_dict(), epoch="4")
    content = path.read_bytes()

    @given(st.integers(0, 8 * len(content) - 1))
    @example(8 * len(content) - 7)  # of the last number
    def flip(bit):
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        other = nn.Linear(3, 2)
        message = None
        try:
            load_weights(path, other)
        except ValueError as error:
            message = str(error)
        if message is not None:
            assert message.startswith(f"{path}: ")
        else:
            assert torch.equal(other.weight, model.weight)
            assert torch.equal(other.bias, model.bias)
            assert read_facts(path)["epoch"] == "4"

    flip()


def test_weights_of_any_type_have_a_checksum(tmp_path):
    weights = {
        "none": torch.zeros(0, 3),
        "one": torch.tensor(1.5, dtype=torch.float64),
        "short": torch.ones(3, dtype=torch.bfloat16),
    }
    save_weights(tmp_path / "weights", weights)

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            for name, weight in weights.items():
                self.register_buffer(name, torch.full_like(weight, 7))

    model = Model()
    load_weights(tmp_path / "weights", model)
    assert all(torch.equal(model.state_dict()[name], weight) for name, weight in weights.items())


def test_a_file_of_the_version_without_checksum(tmp_path):
    model = nn.Linear(3, 2)
    facts = {"format": "gatewise-weights", "version": "1"}
    safetensors.torch.save_file(model.state_dict(), tmp_path / "weights", facts)
    other = nn.Linear(3, 2)
    load_weights(tmp_path / "weights", other)
    assert torch.equal(other.weight, model.weight)


def test_a_foreign_file(saved):
    path, model = saved
    safetensors.torch.save_file(model.state_dict(), path)
    with pytest.raises(ValueError, match="expected gatewise-weights version 2, got None version None"):
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
