"""Tensors in the lowest 4 GiB of memory, where the heap of a Python that is not position-independent lies."""

import mmap
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import gatewise
from tests.layers.oracle import check_call

BELOW_4_GIB = 0x40  # MAP_32BIT, which the module mmap does not name before Python 3.13

needs_low_memory = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64", reason="only x86-64 Linux maps memory there by request"
)


def low(values: Tensor) -> Tensor:
    """A copy in fresh memory below 4 GiB, which lives as long as the tensor."""
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | BELOW_4_GIB
    memory = mmap.mmap(-1, max(values.nbytes, 1), flags=flags)
    copy = torch.frombuffer(memory, dtype=values.dtype, count=values.numel()).view(values.shape)
    assert copy.data_ptr() < 1 << 32
    return copy.copy_(values)


@needs_low_memory
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("kind", [gatewise.LSTM, gatewise.GRU, gatewise.PeepholeLSTM])
def test_inputs_in_low_memory(kind: type[gatewise.LSTM], bidirectional: bool, training: bool):
    layer = kind(5, 8, bidirectional=bidirectional)
    kept: list[Tensor] = []
    for _ in range(6):
        kept.append(low(torch.randn(4, 2, 5)))
        with torch.set_grad_enabled(training):
            check_call(layer, kept[-1])


@needs_low_memory
def test_states_weights_and_inputs_between_low_and_high_memory():
    layer, states = gatewise.LSTM(5, 8), [torch.randn(1, 2, 8), torch.randn(1, 2, 8)]
    kept: list[Tensor] = []

    def position(tensor: Tensor, is_low: int) -> Tensor:
        kept.append(low(tensor) if is_low else tensor.clone())
        return kept[-1]

    for call in range(16):
        x_low, state_low, weights_low = call & 1, call >> 1 & 1, call >> 2 & 1
        for name, parameter in list(layer.named_parameters()):
            setattr(layer, name, nn.Parameter(position(parameter.detach(), weights_low)))
        check_call(layer, position(torch.randn(4, 2, 5), x_low), [position(state, state_low) for state in states])


@needs_low_memory
def test_upstream_gradients_in_low_memory():
    layer, x, kept = gatewise.LSTM(5, 8), torch.randn(4, 2, 5), list[Tensor]()
    for _ in range(6):
        kept.append(low(torch.randn(4, 2, 8)))
        found = torch.autograd.grad(layer(x)[0], [*layer.parameters()], kept[-1])
        # Another way to the same gradients: its upstream gradients are torch's own.
        expected = torch.autograd.grad((layer(x)[0] * kept[-1].clone()).sum(), [*layer.parameters()])
        for gradient, value in zip(found, expected, strict=True):
            torch.testing.assert_close(gradient, value)


SYSTEM_PYTHON = Path("/usr/bin/python3")

TRAINING = """
import torch, gatewise
torch.manual_seed(0)
layer = gatewise.LSTM(5, 8)
reference = gatewise.LSTM(5, 8, backend="reference", dtype=torch.float64)
reference.load_state_dict(layer.state_dict())
for call in range(12):
    x = torch.randn(4, 2, 5)
    gradients = torch.autograd.grad(layer(x)[0].square().sum(), layer.parameters())
    expected = torch.autograd.grad(reference(x.double())[0].square().sum(), reference.parameters())
    for came, value in zip(gradients, expected):
        torch.testing.assert_close(came.double(), value, rtol=1e-4, atol=1e-5)
print("right", layer.backend_for(x).name)
"""


def _version(python: Path) -> str:
    program = "import sys; print('.'.join(map(str, sys.version_info[:2])), sys.implementation.cache_tag)"
    return subprocess.run([python, "-c", program], capture_output=True, text=True).stdout.strip()


@pytest.mark.skipif(
    not SYSTEM_PYTHON.exists() or _version(SYSTEM_PYTHON) != _version(Path(sys.executable)),
    reason="the system has no Python of this version",
)
def test_the_systems_python():
    paths = [str(Path(gatewise.__file__).parents[1]), *(path for path in sys.path if "site-packages" in path)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    run = subprocess.run([SYSTEM_PYTHON, "-c", TRAINING], env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("right")
