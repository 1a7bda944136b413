"""A module as a model of ONNX: traced, translated, checked, compared and written."""

import ast
import inspect
import logging
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx
import torch
from onnxscript import ir, optimizer
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.utils import _pytree as pytree

from gatewise.interchange.onnx.comparison import largest_difference
from gatewise.interchange.onnx.conventions import OPERATORS
from gatewise.interchange.onnx.exporting import ExportedLayer, OnnxExport, Translations
from gatewise.interchange.onnx.loop import name_loops
from gatewise.interchange.onnx.node_list import OF_WEIGHTS
from gatewise.interchange.onnx.translation import CELL, DIRECTIONS, evaluated, refusal, translate
from gatewise.kernels.operators import MADE_BY as MADE_BY  # importing it registers the operator
from gatewise.writing import atomic_write

_RECURRENT = torch.ops.gatewise.recurrent.default
_REPORTING = (
    "torch.onnx._internal.exporter._registration",
    "onnx_ir.passes.common.initializer_deduplication",
)
_SCOPES = "pkg.torch.onnx.name_scopes"  # metadata of nodes: the modules that they are in


class _Flat(nn.Module):
    """A method of a module as a function from tensors to tensors."""

    def __init__(self, module: nn.Module, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        super().__init__()
        self.module, self.method = module, method
        self.leaves, self.structure = pytree.tree_flatten((args, kwargs))
        self.tensors = tuple(leaf for leaf in self.leaves if isinstance(leaf, Tensor))
        self.leaves = [None if isinstance(leaf, Tensor) else (leaf,) for leaf in self.leaves]

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        following = iter(tensors)
        leaves = [next(following) if leaf is None else leaf[0] for leaf in self.leaves]
        args, kwargs = pytree.tree_unflatten(leaves, self.structure)
        # Called as a module, which torch.export records by its path, where it can be.
        run = self.module if self.method == "forward" else getattr(self.module, self.method)
        outputs = pytree.tree_leaves(run(*args, **kwargs))
        return tuple(one for one in outputs if isinstance(one, Tensor))


def export_module(
    module: nn.Module,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    path: Path,
    opset: int,
    input_names: Sequence[str] | None,
    output_names: Sequence[str] | None,
    size_names: Mapping[str, Sequence[str | int | None]],
    metadata: Mapping[str, str] | None,
    streaming: bool,
    translations: Translations,
) -> OnnxExport:
    """See `gatewise.to_onnx`."""
    method = "step" if streaming else "forward"
    if streaming:
        args = _with_state(module, args, kwargs)
    flat = _Flat(module, method, args, kwargs)
    if not flat.tensors:
        raise ValueError("args: expected at least one tensor, which becomes an input of the model")
    for tensor in pytree.tree_leaves((flat.tensors, dict(module.state_dict()))):
        if isinstance(tensor, Tensor) and tensor.dtype == torch.bfloat16:
            raise ValueError("module, args: bfloat16 cannot be run in ONNX Runtime on CPUs; convert with .float()")
    inputs = _names(
        "input_names", input_names, _argument_names(getattr(module, method), args, kwargs), len(flat.tensors)
    )
    with _evaluating(flat), torch.no_grad():
        program = _traced(flat, [size_names.get(name, ()) for name in inputs])
        _check_calls(program)
        count = len(program.graph_signature.user_outputs)
        default = ["output", *(f"output_{index}" for index in range(1, count))]
        states = _numbered("new_state", args[1]) if streaming else []
        if len(states) == count - 1:
            default = ["output", *states]
        outputs = _names("output_names", output_names, default, count)
        if repeated := [name for name, number in Counter([*inputs, *outputs]).items() if number > 1]:
            raise ValueError(f"input_names, output_names: expected different names, got {repeated[0]!r} twice")
        exported = _translated(program, flat.tensors, inputs, outputs, opset, {**translations, _RECURRENT: translate})
        layers = _named_layers(exported)
        sizes = _named_sizes(exported.graph, size_names)
        proto = ir.serde.serialize_model(_cleaned(exported, sizes, metadata or {}))
        try:
            onnx.checker.check_model(proto, full_check=True)
        except Exception as error:
            raise ValueError(f"onnx.checker refuses the exported model: {_line(error)}") from error
        worst = largest_difference(proto, program, flat.tensors, flat)
    shapes = {name: _sizes(value) for name, value in zip(inputs, exported.graph.inputs, strict=True)}
    with atomic_write(path) as file:
        file.write(proto.SerializeToString())
    return OnnxExport(path, tuple(layers), shapes, tuple(outputs), worst)


def _with_state(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
    """The arguments of a step with a state: the given one, or zeros like the state that a step returns.

    Raises:
        TypeError: for a module without steps, or with another result.
    """
    step = getattr(module, "step", None)
    if not callable(step):
        raise TypeError(
            f"streaming: expected a module with a method step(x_t, state) -> (output, new state), as layers have it; "
            f"{type(module).__name__} has none"
        )
    if len(args) > 1:
        return args
    with _evaluating(module), torch.no_grad():
        result = step(*args, **kwargs)
    if not isinstance(result, tuple) or len(result) != 2:
        raise TypeError(f"streaming: expected {type(module).__name__}.step to return (output, new state)")
    return (*args, pytree.tree_map_only(Tensor, torch.zeros_like, result[1]))


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """Put a module into eval mode, and every part back into its own mode afterwards."""
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes.items():
            part.training = mode


def _traced(flat: _Flat, sizes: Sequence[Sequence[str | int | None]]) -> ExportedProgram:
    shapes = tuple(
        {axis: Dim.AUTO for axis in range(tensor.dim()) if axis >= len(names) or not isinstance(names[axis], int)}
        for tensor, names in zip(flat.tensors, sizes, strict=True)
    )
    flat(*flat.tensors)  # errors of the call itself are the module's own
    try:
        return torch.export.export(flat, flat.tensors, dynamic_shapes=(shapes,), strict=False)
    except Exception as error:  # torch has no common class for what it cannot trace
        raise ValueError(f"module: torch.export cannot trace it ({str(error).partition(chr(10))[0]})") from error


def _check_calls(program: ExportedProgram) -> None:
    """Check that every recurrent layer has an operator of ONNX.

    Raises:
        ValueError: naming the layer that has none.
    """
    for graph in (part for part in program.graph_module.modules() if isinstance(part, torch.fx.GraphModule)):
        for node in graph.graph.nodes:
            if node.target is _RECURRENT:
                dtype = ir.DataType.from_numpy(torch.empty(0, dtype=node.args[0].meta["val"].dtype).numpy().dtype)
                text, _, masks = node.args[6:9]
                reason = refusal(evaluated(text, masks), dtype, node.args[4] is not None)
                if reason is None and node.args[9]:
                    reason = "its recurrent nodes have the last states alone, and the layer has return_states=True"
                if reason is not None:
                    scopes = [path for path, _ in (node.meta.get("nn_module_stack") or {}).values()]
                    layer = scopes[-1].removeprefix("module").removeprefix(".") if scopes else ""
                    raise ValueError(f"{f'layer {layer}' if layer else 'module'}: {reason}")


def _translated(
    program: ExportedProgram,
    tensors: tuple[Tensor, ...],
    inputs: list[str],
    outputs: list[str],
    opset: int,
    translations: Translations,
) -> ir.Model:
    try:
        with _quiet():
            exported = torch.onnx.export(
                program,
                tensors,
                dynamo=True,
                opset_version=opset,
                input_names=inputs,
                output_names=outputs,
                custom_translation_table=dict(translations),
                external_data=False,
                optimize=False,
                verbose=False,
            )
    except Exception as error:  # its causes are chained; the first has the reason
        while error.__cause__ is not None:
            error = error.__cause__  # type: ignore[assignment]
        raise ValueError(f"module: torch.onnx.export cannot translate it ({_line(error)[:500]})") from error
    assert exported is not None
    name_loops(exported.model.graph.all_nodes(), "loop")  # the optimiser takes the shapes of values by their names
    # The weights of recurrent nodes, however large, become constants in the order of their gates.
    with _quiet():
        optimizer.optimize_ir(
            exported.model, should_fold=lambda node: True if OF_WEIGHTS in node.metadata_props else None
        )
    name_loops(exported.model.graph.all_nodes(), "step")  # it has moved some of them out, with their names
    return exported.model


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what the exporter and its passes report of themselves: absent torchvision, deprecated calls, no-ops."""
    loggers = [logging.getLogger(name) for name in _REPORTING]
    levels = [one.level for one in loggers]
    for one in loggers:
        one.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r".*LeafSpec", FutureWarning)
            yield
    finally:
        for one, level in zip(loggers, levels, strict=True):
            one.setLevel(level)


def _named_layers(model: ir.Model) -> list[ExportedLayer]:
    """Name the recurrent nodes by the paths of their layers."""
    nodes = [node for node in model.graph.all_nodes() if CELL in node.metadata_props]
    paths = [_path_of(node) for node in nodes]
    numbers, count = Counter(paths), Counter[str]()
    layers: list[ExportedLayer] = []
    for node, path in zip(nodes, paths, strict=True):
        full = path
        if numbers[path] > 1:
            full = f"{path}.l{count[path]}".removeprefix(".")
            count[path] += 1
        node.name = full or node.op_type
        layers.append(ExportedLayer(full, node.metadata_props[CELL], _described(node), node.name))
    return layers


def _path_of(node: ir.Node) -> str:
    """The path of a node's layer: the scopes are paths, those of `_Flat` and its module first, the call last."""
    scopes: list[str] = ast.literal_eval(node.metadata_props.get(_SCOPES, "[]"))
    return scopes[-2].removeprefix("module").removeprefix(".") if len(scopes) > 1 else ""


def _described(node: ir.Node) -> str:
    given = {name: attribute.value for name, attribute in node.attributes.items()}
    parts = [f"{node.op_type} {node.metadata_props[DIRECTIONS]}"]
    if node.op_type not in OPERATORS:
        return parts[0]
    operator = OPERATORS[node.op_type]
    activations = tuple(given["activations"])[: len(operator.activations)]
    if activations != operator.activations:
        parts.append(" ".join(activations))
    if given.get("linear_before_reset"):
        parts.append("linear_before_reset=1")
    if "P" in operator.inputs and len(node.inputs) == len(operator.inputs):
        parts.append("peepholes")
    return ", ".join(parts)


def _named_sizes(graph: ir.Graph, names: Mapping[str, Sequence[str | int | None]]) -> dict[str, str]:
    """Names of open sizes by the exporter's.

    Raises:
        ValueError: for an unknown input, another number of sizes, a size that is not open, or two names for one size.
    """
    inputs, found = {value.name: value for value in graph.inputs}, dict[str, str]()
    for name, sizes in names.items():
        if name not in inputs or len(sizes) != len(inputs[name].shape or ()):
            shapes = ", ".join(f"{one.name} {_sizes(one)}" for one in graph.inputs)
            raise ValueError(f"size_names: expected names for the sizes of {shapes}; got {name}: {tuple(sizes)}")
        for chosen, size in zip(sizes, _sizes(inputs[name]), strict=True):
            if isinstance(chosen, str) and isinstance(size, int):
                raise ValueError(f"size_names: {chosen!r} of {name} is always {size} in this module")
            if isinstance(chosen, str) and isinstance(size, str) and found.setdefault(size, chosen) != chosen:
                raise ValueError(f"size_names: {found[size]!r} and {chosen!r} are one size in this model")
    return found


def _cleaned(model: ir.Model, names: Mapping[str, str], metadata: Mapping[str, str]) -> ir.Model:
    """Without the exporter's notes, which hold source lines and paths; with names of sizes.

    Sizes that are numbers become numbers.
    """
    graph = model.graph
    for node in graph.all_nodes():
        for key in [key for key in node.metadata_props if key != CELL]:
            del node.metadata_props[key]
        node.doc_string = None
    values = {*graph.inputs, *graph.outputs, *graph.initializers.values()}
    values |= {output for node in graph.all_nodes() for output in node.outputs}
    for value in values:
        value.metadata_props.clear()
        if value.shape is not None:
            value.shape = ir.Shape([_size(size, names) for size in value.shape])
    graph.metadata_props.clear()
    model.metadata_props.clear()
    model.metadata_props.update(metadata)
    return model


def _sizes(value: ir.Value) -> tuple[int | str, ...]:
    return tuple(size for size in (_size(one, {}) for one in value.shape or ()) if size is not None)


def _size(size: Any, names: Mapping[str, str]) -> int | str | None:
    """A size of a shape, as a number, or as a text in which some names are replaced; None where it is unknown."""
    text = getattr(size, "value", size)
    if not isinstance(text, str):
        return text
    # Sizes that the program has resolved are numbers written as names.
    return int(text) if text.isdecimal() else re.sub(r"\w+", lambda found: names.get(found[0], found[0]), text)


def _argument_names(method: Callable[..., object], args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[str]:
    """For every tensor the name of its argument; for several in one argument with their numbers."""
    signature = inspect.signature(method)
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError as error:
        raise TypeError(f"args, kwargs: {getattr(method, '__qualname__', method)}: {error}") from None
    positional = list(signature.parameters)
    names: list[str] = []
    for index, value in enumerate(args):
        known = index < len(positional) and positional[index] in bound.arguments
        names += _numbered(positional[index] if known else f"input_{index}", value)
    for name, value in kwargs.items():
        names += _numbered(name, value)
    return names


def _numbered(name: str, value: Any) -> list[str]:
    count = sum(isinstance(leaf, Tensor) for leaf in pytree.tree_leaves(value))
    return [name] if count == 1 else [f"{name}_{index}" for index in range(count)]


def _names(argument: str, given: Sequence[str] | None, default: list[str], count: int) -> list[str]:
    if given is None:
        return default
    if isinstance(given, str) or len(given) != count:
        raise ValueError(f"{argument}: expected a sequence of {count} names, got {given!r}")
    return list(given)


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())
