"""Layers exported as C, called from Python through `gatewise.runtime`, beside ONNX Runtime, interleaved in one process.

Run it on an idle machine with ``python -m benchmarks.exported``; it compiles two libraries first. It prints a table in
Markdown, the size of a library, and the time from the start of a C program to its first answer.
"""

import argparse
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime  # pyright: ignore[reportMissingImports]
import torch

import gatewise
from benchmarks.functions import beside
from benchmarks.statistics import ratio_text
from gatewise import runtime

# H = I, and T; None: one step after the other, with states.
CASES = ((64, None), (256, 100))


def exported(width: int, steps: int | None, folder: Path) -> tuple[Callable[[], object], Callable[[], object]]:
    """A call of the exported LSTM, and one of ONNX Runtime, both with arrays of NumPy at B = 1.

    Raises:
        AssertionError: when their results differ.
    """
    torch.manual_seed(0)
    layer = gatewise.LSTM(width, width).eval().requires_grad_(False)
    gatewise.to_c(layer, folder, build=True)
    x = torch.randn(steps or 1, 1, width)
    given = (x[0],) if steps is None else (x,)
    gatewise.to_onnx(layer, given, folder / "layer.onnx", streaming=steps is None)
    session: Any = session_of(folder / "layer.onnx")
    names = [one.name for one in session.get_inputs()]
    model = runtime.load(folder, chunk=steps or 1)
    if steps is not None:
        array = x.numpy()
        feed = {names[0]: array}

        def own() -> object:
            model.reset()
            return model.run(array)

        check(own(), session.run(None, feed)[0])
        return own, lambda: session.run(None, feed)
    step = x[0].numpy()
    states = [
        np.zeros([1 if isinstance(size, str) else size for size in one.shape], np.float32)
        for one in session.get_inputs()[1:]
    ]

    def of_onnx() -> object:
        # With the states of the step before, as a stream has them.
        output, *states[:] = session.run(None, {names[0]: step, **dict(zip(names[1:], states, strict=True))})
        return output

    check(model.step(step), of_onnx())
    return lambda: model.step(step), of_onnx


def check(found: Any, expected: Any) -> None:
    """Compare the results of a call.

    Raises:
        AssertionError: when they differ.
    """
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def session_of(path: Path) -> onnxruntime.InferenceSession:
    """A session on one thread, which is ONNX Runtime's fastest at B = 1 for these sizes."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def cold_start(folder: Path, runs: int) -> float:
    """Seconds from the start of the folder's program to the end of it after one answer, the median."""
    program = folder / "program"
    library = folder / "libmodel.so"
    linked = [str(folder / "main.c"), str(library), f"-Wl,-rpath,{folder}"]
    subprocess.run(["cc", "-std=c99", "-O2", *linked, "-o", str(program)], check=True)
    line = " ".join(["0.5"] * runtime.load(folder).facts["numbers"]) + "\n"
    seconds: list[float] = []
    for _ in range(runs):
        begin = time.perf_counter()
        subprocess.run([program, folder / "weights.bin"], input=line, text=True, check=True, capture_output=True)
        seconds.append(time.perf_counter() - begin)
    return statistics.median(seconds)


def main(arguments: list[str] | None = None) -> None:
    """Print the table and the numbers below it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.exported")
    parser.add_argument("--pairs", type=int, default=20)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    print("| LSTM, H = I, B = 1 | exported | ONNX Runtime | ratio |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for width, steps in CASES:
            path = Path(folder) / str(width)
            found = beside(*exported(width, steps, path), options.pairs)
            name = f"{width}, one step" if steps is None else f"{width}, {steps} steps"
            times = [f"{one.median * 1e6:.1f} µs" for one in (found.first, found.second)]
            ratio = ratio_text(found.ratio, "×")
            print(f"| {name} | {' | '.join(times)} | {ratio} |", flush=True)
        path = Path(folder) / str(CASES[0][0])
        print(f"\nlibrary of {CASES[0][0]}: {(path / 'libmodel.so').stat().st_size:,} bytes")
        print(f"from the start of the program to its end after one answer: {cold_start(path, 50) * 1e3:.1f} ms")


if __name__ == "__main__":
    main()
