"""Random recurrent nodes: as models, as what ONNX Runtime computes, as what our layer computes."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import onnxruntime
import torch
from hypothesis import strategies as st
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from gatewise.interchange.onnx import ImportedNode
from tests.interchange.onnx import specification

Arrays = dict[str, np.ndarray]
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
ACTIVATIONS = {"RNN": 1, "GRU": 2, "LSTM": 3}
DEFAULTS = {"RNN": ["Tanh"], "GRU": ["Sigmoid", "Tanh"], "LSTM": ["Sigmoid", "Tanh", "Tanh"]}
INPUTS = ["X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P"]


@dataclass(frozen=True)
class Configuration:
    """A node and the values of its inputs, drawn from ``seed``.

    Attributes:
        activations: empty for the default ones.
        constant: which of sequence_lens and the initial states are constants of the model.
        scale: of the weights.
    """

    operator: str = "LSTM"
    direction: str = "forward"
    steps: int = 4
    rows: int = 2
    input_size: int = 3
    hidden_size: int = 4
    lengths: tuple[int, ...] | None = None
    initial: tuple[bool, ...] = (False, False)
    bias: bool = True
    peepholes: bool = False
    activations: tuple[str, ...] = ()
    alphas: tuple[float, ...] = ()
    betas: tuple[float, ...] = ()
    clip: float | None = None
    input_forget: bool = False
    linear_before_reset: bool = False
    layout: int = 0
    opset: int = 22
    hidden_size_given: bool = True
    constant: bool = False
    scale: float = 1.0
    seed: int = 0

    @property
    def directions(self) -> int:
        return 2 if self.direction == "bidirectional" else 1

    @property
    def states(self) -> int:
        return 2 if self.operator == "LSTM" else 1

    @cached_property
    def arrays(self) -> Arrays:
        """The inputs that the node has, in layout 0."""
        draw = np.random.default_rng(self.seed)
        D, G, H, I = self.directions, GATES[self.operator], self.hidden_size, self.input_size  # noqa: E741

        def normal(*shape: int, scale: float = 1.0) -> np.ndarray:
            return (draw.standard_normal(shape) * scale).astype(np.float32)

        found = {
            "X": normal(self.steps, self.rows, I),
            "W": normal(D, G * H, I, scale=self.scale),
            "R": normal(D, G * H, H, scale=self.scale / np.sqrt(H)),
            "B": normal(D, 2 * G * H, scale=self.scale),
            "P": normal(D, 3 * H, scale=self.scale),
            "initial_h": normal(D, self.rows, H),
            "initial_c": normal(D, self.rows, H),
        }
        if self.lengths is not None:
            found["sequence_lens"] = np.array(self.lengths, dtype=np.int32)
        absent = {"B": not self.bias, "P": not self.peepholes or self.operator != "LSTM"}
        absent |= {"initial_h": not self.initial[0], "initial_c": not self.initial[1] or self.states == 1}
        return {name: value for name, value in found.items() if not absent.get(name, False)}

    @property
    def attributes(self) -> dict[str, Any]:
        found: dict[str, Any] = {"direction": self.direction}
        if self.hidden_size_given:
            found["hidden_size"] = self.hidden_size
        if self.activations:
            found["activations"] = list(self.activations)
        if self.alphas:
            found["activation_alpha"] = list(self.alphas)
        if self.betas:
            found["activation_beta"] = list(self.betas)
        if self.clip is not None:
            found["clip"] = self.clip
        if self.operator == "LSTM":
            found["input_forget"] = int(self.input_forget)
        if self.operator == "GRU":
            found["linear_before_reset"] = int(self.linear_before_reset)
        if self.layout:
            found["layout"] = self.layout
        return found

    @property
    def node(self) -> NodeProto:
        last = 8 if self.operator == "LSTM" else 6
        inputs = [name if name in self.arrays else "" for name in INPUTS[:last]]
        while not inputs[-1]:
            inputs.pop()
        outputs = ["Y", "Y_h", "Y_c"][: 1 + self.states]
        return helper.make_node(self.operator, inputs, outputs, "recurrent", **self.attributes)

    def model(self) -> ModelProto:
        constant = {"W", "R", "B", "P"} | ({"sequence_lens", "initial_h", "initial_c"} if self.constant else set())
        arrays = dict(self.arrays)
        if self.layout:
            arrays |= {name: arrays[name].swapaxes(0, 1) for name in ("X", "initial_h", "initial_c") if name in arrays}
        inputs = [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
            for name, value in arrays.items()
            if name not in constant
        ]
        initializers = [numpy_helper.from_array(value, name) for name, value in arrays.items() if name in constant]
        outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in self.node.output]
        graph = helper.make_graph([self.node], "graph", inputs, outputs, initializers)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=10)

    def in_onnx_runtime(self) -> list[np.ndarray]:
        """Y and the final states; a row of length 0 keeps its initial state, where the runtime has zeros."""
        # It implements neither layout 1 nor a missing hidden_size.
        plain = replace(self, layout=0, constant=False, hidden_size_given=True)
        options = onnxruntime.SessionOptions()
        options.log_severity_level, options.intra_op_num_threads = 4, 1
        session = onnxruntime.InferenceSession(
            plain.model().SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        feeds = {one.name: self.arrays[one.name] for one in session.get_inputs()}
        output, *finals = session.run(None, feeds)
        empty = np.array(self.lengths or (1,) * self.rows) == 0
        for final, state in zip(finals, self._initial(), strict=True):
            final[:, empty] = state[:, empty]
        return [output, *finals]

    def _initial(self) -> list[np.ndarray]:
        zero = np.zeros((self.directions, self.rows, self.hidden_size), dtype=np.float32)
        return [self.arrays.get(f"initial_{name}", zero) for name in "hc"[: self.states]]

    def as_specified(self, rounding: float = 0.0, seed: int = 0) -> list[np.ndarray]:
        """Y and the final states in float64, with every weight changed by this fraction, up or down at random."""
        draw = np.random.default_rng(seed)
        weights = {name: self.arrays[name].astype(np.float64) for name in "WRBP" if name in self.arrays}
        for name, value in weights.items():
            weights[name] = value * (1 + rounding * draw.choice([-1, 1], size=value.shape))
        names = list(self.activations) or DEFAULTS[self.operator] * self.directions
        return specification.run(
            self.operator,
            self.direction,
            specification.Activations(names, list(self.alphas), list(self.betas), self.clip),
            self.arrays["X"],
            np.array(self.lengths or (self.steps,) * self.rows),
            self._initial(),
            weights,
            input_forget=self.input_forget,
            linear_before_reset=self.linear_before_reset,
        )

    def in_gatewise(self, found: ImportedNode, backend: str = "reference") -> list[np.ndarray]:
        """Y and the final states of an imported layer, in the shapes of layout 0."""
        layer, states = found
        for module in layer.modules():
            if hasattr(module, "backend"):
                module.backend = backend
        x = torch.from_numpy(self.arrays["X"])
        lengths = found.lengths
        if lengths is None and self.lengths is not None:
            lengths = torch.tensor(self.lengths)
        hx = states
        if {"initial_h", "initial_c"} & found.inputs.keys():
            given = tuple(torch.from_numpy(state) for state in self._initial())
            hx = given if len(given) > 1 else given[0]
        with torch.no_grad():
            output, final = layer(x.transpose(0, 1) if self.layout else x, hx, lengths=lengths)
        output = output.transpose(0, 1) if self.layout else output
        output = output.unflatten(-1, (self.directions, self.hidden_size)).transpose(1, 2)
        return [one.double().numpy() for one in (output, *(final if isinstance(final, tuple) else (final,)))]


def assert_agrees(config: Configuration, ours: list[np.ndarray]) -> None:
    """Ours is ONNX Runtime's up to rounding, or at most twice as far from exact numbers as it."""
    theirs, exact = config.in_onnx_runtime(), config.as_specified()
    for name, one, other, true in zip(("Y", "Y_h", "Y_c"), ours, theirs, exact, strict=False):
        assert one.shape == other.shape == true.shape
        error = np.abs(one - other) - 1e-5 * np.maximum(1, np.abs(other))
        own = np.abs(one - true).max()
        assert error.max() <= 0 or own <= 2 * np.abs(other - true).max(), (
            f"{name} differs by {np.abs(one - other).max():.2g}; from float64 by {own:.2g}, "
            f"ONNX Runtime by {np.abs(other - true).max():.2g}"
        )
        assert own <= 1e-3 * max(1, np.abs(true).max()), f"{name} differs from the specification by {own:.2g}"


def bounded(config: Configuration, limit: float = 10.0) -> Configuration:
    """The configuration with weights so small that no state is larger, and that float32 can have the result.

    Unbounded activations can amplify the rounding of a weight a thousandfold in a few steps.
    """
    while config.scale > 1e-6:
        with np.errstate(over="ignore", invalid="ignore"):
            exact, *rounded = [config.as_specified(), *(config.as_specified(2.0**-23, seed) for seed in range(4))]
            largest = max(np.abs(value).max() for value in exact)
            moved = max(
                (np.abs(a - b) / np.maximum(1, np.abs(a))).max()
                for one in rounded
                for a, b in zip(exact, one, strict=True)
            )
        if largest <= limit and moved <= 2e-6:
            return config
        config = replace(config, scale=config.scale / 2)
    return config


_NUMBERS = st.floats(-2, 2, width=32).filter(lambda value: abs(value) > 1e-3).map(lambda value: round(value, 3))


@st.composite
def configurations(
    draw: st.DrawFn, directions: tuple[str, ...] = ("forward", "reverse", "bidirectional")
) -> Configuration:
    """Any node of RNN, GRU and LSTM."""
    operator = draw(st.sampled_from(["RNN", "GRU", "LSTM"]))
    direction = draw(st.sampled_from(directions))
    count = 2 if direction == "bidirectional" else 1
    activations: tuple[str, ...] = ()
    if draw(st.booleans()):
        number = ACTIVATIONS[operator]
        names = st.lists(st.sampled_from(sorted(specification.ACTIVATIONS)), min_size=number, max_size=number)
        activations = tuple(draw(names))
        activations += tuple(draw(names) if draw(st.booleans()) else activations) * (count - 1)
    if operator == "RNN" and count == 1 and activations and draw(st.booleans()):
        activations += ("Tanh",)  # which ONNX Runtime ignores
    alphas, betas = (
        _parameters(draw, [table[name] for name in activations if name in table])
        for table in (specification.ALPHA, specification.BETA)
    )
    steps, rows = draw(st.integers(1, 6)), draw(st.integers(1, 4))
    lengths = None
    if draw(st.booleans()):
        lengths = tuple(draw(st.lists(st.integers(0, steps), min_size=rows, max_size=rows)))
    return bounded(
        Configuration(
            operator=operator,
            direction=direction,
            steps=steps,
            rows=rows,
            input_size=draw(st.integers(1, 4)),
            hidden_size=draw(st.integers(1, 5)),
            lengths=lengths,
            initial=(draw(st.booleans()), draw(st.booleans())),
            bias=draw(st.booleans()),
            peepholes=draw(st.booleans()),
            activations=activations,
            alphas=alphas,
            betas=betas,
            clip=draw(st.none() | st.floats(0.0625, 3, width=32).map(lambda value: round(value, 3))),
            input_forget=draw(st.booleans()),
            linear_before_reset=draw(st.booleans()),
            layout=draw(st.sampled_from([0, 0, 1])),
            opset=draw(st.sampled_from([7, 14, 22])),
            hidden_size_given=draw(st.booleans()),
            constant=draw(st.booleans()),
            seed=draw(st.integers(0, 2**20)),
        )
    )


def _parameters(draw: st.DrawFn, defaults: list[float | None]) -> tuple[float, ...]:
    """Numbers for activations with these defaults: as many as must be given, or more."""
    needed = max((index + 1 for index, value in enumerate(defaults) if value is None), default=0)
    count = draw(st.integers(needed, len(defaults)))
    return tuple(draw(st.lists(_NUMBERS, min_size=count, max_size=count)))
