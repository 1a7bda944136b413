"""Products of 8-bit integers, `frozen(precision="int8")`, beside those of floats and ONNX Runtime's, interleaved.

Run it on an idle machine with ``python -m benchmarks.bytes``; it prints a table in Markdown. ONNX Runtime has 8-bit
integers for the LSTM alone (DynamicQuantizeLSTM, scales per channel).
"""

import argparse
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import gatewise
from benchmarks.functions import Function
from benchmarks.statistics import ratio_row
from benchmarks.timing import interleaved
from gatewise.cells import lookup
from gatewise.equations.load import is_file_reference, load_cell

# B, H = I, T; a stream is T single steps.
SHAPES = ((1, 256, 100), (1, 512, 100), (32, 256, 50))


def calls(cell: str, batch: int, width: int, steps: int, stack: ExitStack) -> Iterator[tuple[str, list[Function]]]:
    """What is called, with its contenders: ours in 8-bit integers first, in floats second."""
    found = load_cell(cell) if is_file_reference(cell) else lookup(cell)
    torch.manual_seed(0)
    floats = gatewise.Recurrent(found, width, width).requires_grad_(False)
    narrow = gatewise.Recurrent(found, width, width).requires_grad_(False)
    narrow.load_state_dict(floats.state_dict())
    stack.enter_context(floats.frozen())
    stack.enter_context(narrow.frozen(precision="int8"))
    x = torch.randn(steps, batch, width)
    rows = list(x)

    def streamed(layer: gatewise.Recurrent) -> Callable[[], object]:
        return lambda: sum(1 for _ in layer.stream(iter(rows)))

    whole = [Function("int8", lambda: narrow(x)), Function("float32", lambda: floats(x))]
    if cell == "lstm":
        whole.append(Function("ONNX Runtime", quantized(floats, x)))
    yield "sequence", whole
    if batch == 1:
        one = [Function("int8", streamed(narrow)), Function("float32", streamed(floats))]
        if cell == "lstm":
            step = quantized(floats, x[:1])
            one.append(Function("ONNX Runtime", lambda: [step() for _ in rows]))
        yield "stream", one


def quantized(layer: gatewise.Recurrent, x: Tensor) -> Callable[[], object]:
    """A call of ONNX Runtime's quantised LSTM with the weights of a layer, on as many threads as torch has."""
    import onnxruntime
    from onnxruntime.quantization import quantize_dynamic

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / name for name in ("layer.onnx", "narrow.onnx")]
        lstm = gatewise.LSTM(layer.input_size, layer.hidden_size)
        lstm.load_state_dict(layer.state_dict())
        gatewise.to_onnx(lstm.eval(), (x,), paths[0])
        quantize_dynamic(*paths, per_channel=True)
        session: Any = onnxruntime.InferenceSession(paths[1], options, providers=["CPUExecutionProvider"])
    feed = {session.get_inputs()[0].name: x.numpy()}
    error = torch.from_numpy(session.run(None, feed)[0]) - lstm(x)[0]
    assert error.abs().max() < 0.05, "ONNX Runtime's outputs are not those of the layer"
    return lambda: session.run(None, feed)


def main(arguments: list[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bytes")
    parser.add_argument("--cells", nargs="+", default=["lstm", "gru_cudnn", "examples/cells/ugrnn.py:ugrnn"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--pairs", type=int, default=20)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    print("| | B, H, T | int8, µs a step | float32 / int8 | ONNX Runtime / int8 |\n|---|---|---|---|---|")
    for cell in options.cells:
        for shape in SHAPES:
            with torch.no_grad(), ExitStack() as stack:
                for name, contenders in calls(cell, *shape, stack):
                    rounds = interleaved(contenders, options.pairs)
                    title = f"{cell.rpartition(':')[2]}, {name}"
                    print(ratio_row(title, shape, rounds, 1e6 / shape[2], 2), flush=True)


if __name__ == "__main__":
    main()
