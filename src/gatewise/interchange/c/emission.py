"""The C++ of a model: the programs of its cells, and its description as constants (``csrc/runtime/description.h``)."""

from collections.abc import Iterable
from hashlib import sha256

from gatewise.compiler.constants import constants, symbol
from gatewise.compiler.emit import emit
from gatewise.compiler.program import EmitError, Program
from gatewise.equations import Cell
from gatewise.interchange.c.description import Array, LayerPart, Model
from gatewise.kernels import IntegerPrecision

# As description.h has them.
_MOST_STATES, _MOST_PARAMETERS = 16, 128
PRECISIONS: dict[IntegerPrecision | None, int] = {None: 0, "int8": 8}
"""As the engine has them."""


def layout_of(model: Model) -> int:
    """A number that identifies what the code of a model expects of its weights."""
    return int.from_bytes(sha256(_emitted(model, 0).encode()).digest()[:8], "little")


def cells_source(model: Model) -> str:
    """The C++ file of a model, with its programs and constants.

    Raises:
        ValueError: for a cell that cannot be compiled.
    """
    return _emitted(model, layout_of(model))


def header_constants(model: Model) -> str:
    """The constants of the header ``model.h``."""
    per_step = model.pool == "none"
    numbers = {
        "VALUES": (model.value_count, "values of a step, which are scaled"),
        "NUMBERS": (model.numbers, "numbers of a step, which are read as they are"),
        "TOKENS": (len(model.embeddings), "tokens of a step"),
        "FURTHER": (model.further, "numbers about steps that are forecast, of a row"),
        "OUTPUTS": (model.outputs, "numbers of an output"),
        "OUTPUT_PER_STEP": (int(per_step), "1: an output for each step; 0: for each sequence"),
        "HAS_ANSWERS": (int(model.answers), "1: outputs are scores of classes"),
        "WHOLE_SEQUENCES": (int(model.whole), "1: every call is of whole sequences"),
        "READS_FROM_END": (int(model.reads_from_end), "1: a layer reads from the end"),
        "HAS_MASKS": (int(model.masks), "1: steps can be skipped"),
        "STATE": (model.state_size, "numbers of the state of a row"),
        "PRECISION": (PRECISIONS[model.precision], "of products of layers: 0: model_number; 8: 8-bit integers"),
    }
    lines = [f"typedef {model.number} model_number;", ""]
    lines += [f"#define MODEL_{name} {value} /* {meaning} */" for name, (value, meaning) in numbers.items()]
    return "\n".join(lines)


def program_of(cell: Cell, prefix: str) -> Program:
    """The program of a cell.

    Raises:
        ValueError: for a cell that cannot be compiled.
    """
    try:
        return emit(Cell.from_equations(cell.equations), prefix)
    except EmitError as error:
        raise ValueError(f"the cell {cell.name} cannot be compiled: {error}") from error


def _emitted(model: Model, layout: int) -> str:
    programs = _programs(model)
    tensors = model.tensors
    lines = ['#include "activations.h"', '#include "runtime/description.h"', "", "namespace gatewise {"]
    for program in programs.values():
        lines += [program.forward_source, constants(program, model.number)]
    for at, layer in enumerate(model.layers):
        pairs = [f"{{{p!r}, {kept!r}}}" for p, kept in zip(layer.rates[::2], layer.rates[1::2], strict=True)]
        lines += _table("gatewise_mask", f"model_masks_{at}", pairs)
    lines += _table("RecurrentInfo", "model_layers", (_layer(model, at, programs) for at in range(len(model.layers))))
    lines += _table("TensorInfo", "model_tensors", (_tensor(one) for one in tensors))
    lines += _table("EmbeddingInfo", "model_embeddings", (f"{{{model.number_of(one)}}}" for one in model.embeddings))
    scaling = (f"{{{one.mean.hex()}, {one.divisor.hex()}, {one.flag}}}" for one in model.values)
    lines += _table("ScalingInfo", "model_scaling", scaling)
    lines += _forecast(model)
    weight, bias = model.read_out or (None, None)
    fields = [
        f"{layout:#x}u",
        "model_tensors",
        len(tensors),
        "model_scaling" if model.values else "nullptr",
        len(model.values),
        model.flags,
        model.numbers,
        "model_embeddings" if model.embeddings else "nullptr",
        len(model.embeddings),
        "model_layers",
        len(model.layers),
        int(model.whole),
        int(model.masks),
        int(model.repeats),
        f"pool_{model.pool}",
        model.number_of(model.attention[0] if model.attention else None),
        model.number_of(weight),
        model.number_of(bias),
        model.number_of(model.transitions),
        model.outputs,
        model.state_size,
        "&model_forecast" if model.forecast else "nullptr",
    ]
    lines += [
        f"static const Description description = {{{', '.join(map(str, fields))}}};",
        "} // namespace gatewise",
        "",
    ]
    return "\n".join(lines)


def _programs(model: Model) -> dict[str, Program]:
    """The programs of the model's cells, by their equations.

    Raises:
        ValueError: for a cell that cannot be compiled.
    """
    found: dict[str, Program] = {}
    for layer in model.layers:
        cell = layer.cell
        if cell.equations in found:
            continue
        if len(cell.states) > _MOST_STATES or 2 * len(cell.groups) > _MOST_PARAMETERS:
            raise ValueError(
                f"the cell {cell.name} has {len(cell.states)} states and {len(cell.groups)} groups of parameters; "
                f"expected at most {_MOST_STATES} and {_MOST_PARAMETERS // 2}"
            )
        found[cell.equations] = program_of(cell, f"model_cell_{len(found)}")
    return found


def _layer(model: Model, at: int, programs: dict[str, Program]) -> str:
    layer: LayerPart = model.layers[at]
    fields = [
        f"&{symbol(programs[layer.cell.equations].prefix)}",
        layer.input_size,
        layer.hidden_size,
        layer.projection,
        layer.heads,
        layer.directions,
        int(layer.reverse),
        model.number_of(layer.parameters[0]),
        model.number_of(layer.scales[0] if layer.scales else None),
        f"model_masks_{at}" if layer.rates else "nullptr",
        f"merge_{layer.merge}",
        model.number_of(layer.merge_weight),
        model.number_of(layer.merge_bias),
    ]
    return f"{{{', '.join(map(str, fields))}}}"


def _forecast(model: Model) -> list[str]:
    forecast = model.forecast
    if forecast is None:
        return []
    lines: list[str] = []
    for name, numbers in (("levels", forecast.levels), ("steps", forecast.steps), ("moves", forecast.moves)):
        if numbers is not None:
            listed = ", ".join(float(one).hex() for one in numbers)
            lines.append(f"static const double model_forecast_{name}[] = {{{listed}}};")
    fields = [
        f"forecast_{forecast.kind}",
        *(forecast.window, forecast.season, forecast.horizon, forecast.outputs, forecast.located),
        *(forecast.ahead, forecast.paths, model.number_of(forecast.noise)),
        *(len(forecast.levels), forecast.levels.index(0.5)),
        "model_forecast_levels",
        "model_forecast_steps",
        "nullptr" if forecast.moves is None else "model_forecast_moves",
        model.number_of(forecast.blend),
        model.number_of(forecast.future[0] if forecast.future else None),
    ]
    return [*lines, f"static const ForecastInfo model_forecast = {{{', '.join(map(str, fields))}}};"]


def _tensor(tensor: Array) -> str:
    rows, columns = tensor.shape if tensor.ndim == 2 else (*tensor.shape, 1)
    return f"{{{rows}, {columns}, {tensor.itemsize}}}"


def _table(kind: str, name: str, rows: Iterable[str]) -> list[str]:
    rows = list(rows)
    return [f"static const {kind} {name}[] = {{{', '.join(rows)}}};"] if rows else []
