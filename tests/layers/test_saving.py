"""Models with a cell whose file is gone: everything that is needed to run them is in what was saved."""

import subprocess
import sys
from pathlib import Path

import torch

import gatewise
from gatewise.equations.load import load_cell

CELL_FILE = """
import gatewise
from gatewise.equations import sigmoid, tanh

@gatewise.cell
def mine(x, h, slow, /, W, R, a, b):
    n = tanh(W.n @ x + R.n @ h + b.n)
    s = sigmoid(a) * slow + (1 - sigmoid(a)) * n
    return sigmoid(W.o @ x + R.o @ s + b.o) * s, s
"""
READER = """
import sys, torch, gatewise
whole, kept, x, expected = torch.load(sys.argv[1], weights_only=False)
# Weights and text alone need no trust in the file.
saved = torch.load(kept, weights_only=True)
layer = gatewise.Recurrent(gatewise.Cell.from_text(saved["cell"]), 3, 4, 2)
layer.load_state_dict(saved["weights"])
for one in (whole, layer):
    output, (h, slow) = one(x)
    torch.testing.assert_close((output, h, slow), expected, rtol=0, atol=0)
    output.sum().backward()
    print(one.backend_for(x).name)
"""


def test_a_cell_is_read_where_its_file_is_not(tmp_path: Path):
    file = tmp_path / "cells.py"
    file.write_text(CELL_FILE)
    layer = gatewise.Recurrent(load_cell(f"{file}:mine"), 3, 4, 2)
    x = torch.randn(7, 2, 3)
    output, (h, slow) = layer(x)
    torch.save({"cell": layer.cell.text, "weights": layer.state_dict()}, tmp_path / "model.pt")
    expected = (output.detach(), h.detach(), slow.detach())
    torch.save((layer, tmp_path / "model.pt", x, expected), tmp_path / "all.pt")
    file.unlink()
    ran = subprocess.run(
        [sys.executable, "-c", READER, str(tmp_path / "all.pt")], capture_output=True, text=True, timeout=120
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert ran.stdout.split() == [layer.backend_for(x).name] * 2
