"""What a loop of the equations costs in ONNX Runtime: an LSTM as the node Scan beside the node LSTM.

The call of the first has a `reset` without any boundary, which makes it a loop. Both have the same weights and, to
rounding, the same output; the last column has the node beside gatewise itself.
Run it on an idle machine with ``python -m benchmarks.scan_overhead``; it prints a table in Markdown.
"""

import argparse
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import gatewise
from benchmarks.functions import beside
from benchmarks.statistics import ratio_text

# B, H = I, T
SHAPES = ((1, 32, 100), (1, 256, 100), (32, 64, 100), (32, 256, 50))


def calls(layer: gatewise.LSTM, x: Tensor, threads: int) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """The output of the layer in ONNX Runtime as a loop, and as one node."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    given = {"input": x.numpy(), "reset": np.zeros(tuple(x.shape[:2]), bool)}
    found: list[Callable[[], Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for node, kwargs in (("Scan forward", {"reset": torch.from_numpy(given["reset"])}), ("LSTM forward", {})):
            path = Path(folder) / "model.onnx"
            written = gatewise.to_onnx(layer, (x,), path, kwargs=kwargs)
            assert [one.node for one in written.layers] == [node]
            session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
            inputs = {one.name: given[one.name] for one in session.get_inputs()}
            found.append(lambda session=session, inputs=inputs: session.run(["output"], inputs)[0])
    loop, node = found
    return loop, node


def main(arguments: list[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scan_overhead")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--pairs", type=int, default=20)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    print("| LSTM, B, H, T | Scan, ms | LSTM, ms | Scan / LSTM | LSTM / gatewise |\n|---|---|---|---|---|")
    for batch, width, steps in SHAPES:
        torch.manual_seed(0)
        layer = gatewise.LSTM(width, width).eval()
        x = torch.randn(steps, batch, width)
        loop, node = calls(layer, x, options.threads)
        np.testing.assert_allclose(loop(), node(), atol=1e-5)
        with torch.no_grad():
            times, ours = beside(loop, node, options.pairs), beside(node, partial(layer, x), options.pairs)
        ratios = [ratio_text(one, "×") for one in (times.ratio, ours.ratio)]
        milliseconds = [f"{1e3 * one.median:.3g}" for one in times[:2]]
        print(f"| {batch}, {width}, {steps} | {' | '.join([*milliseconds, *ratios])} |", flush=True)


if __name__ == "__main__":
    main()
