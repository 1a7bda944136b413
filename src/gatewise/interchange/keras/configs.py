"""Configurations of Keras' recurrent layers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gatewise.equations import Cell
from gatewise.interchange.keras.conventions import ACTIVATIONS, DEFAULTS, HARD_SIGMOID_OF_KERAS_2, KINDS, MERGES, Kind
from gatewise.interchange.onnx.activations import Activation
from gatewise.interchange.onnx.templates import Equations
from gatewise.layers.merging import Merge

_CELLS = {f"{name}Cell": name for name in KINDS}
_EXPECTED = f"{', '.join(KINDS)}, RNN of one of {', '.join(_CELLS)}, or Bidirectional of these"


@dataclass(frozen=True)
class Spec:
    """What determines what a recurrent layer computes.

    Attributes:
        kind: one of `KINDS`.
        units: H.
        activations: of the operator.
        use_bias: whether it has biases.
        reset_after: of a GRU, whether r acts after the product; it then has two biases.
        go_backwards: whether it reads from the end.
        zero_output_for_mask: whether the output at masked steps is zero.
        bidirectional: whether it is Bidirectional.
        merge: of its directions, by our name.
    """

    kind: Kind
    units: int
    activations: tuple[Activation, ...]
    use_bias: bool = True
    reset_after: bool = False
    go_backwards: bool = False
    zero_output_for_mask: bool = False
    bidirectional: bool = False
    merge: Merge = "concat"

    def cell(self) -> Cell:
        """The cell, with two biases where the operator of ONNX has two."""
        return Equations(
            self.kind.operator,
            self.activations,
            bias=self.use_bias,
            linear_before_reset=self.reset_after,
            framework="Keras",
        ).cell()


def is_recurrent(class_name: str) -> bool:
    """Whether a class of Keras is recurrent, by its name; not all of these can be read."""
    return class_name == "Bidirectional" or any(part in class_name for part in ("RNN", "LSTM", "GRU"))


def read_config(class_name: str, config: Mapping[str, Any], *, keras_2: bool = False) -> Spec:
    """What a layer computes, by its class and its ``get_config()``.

    Args:
        class_name, config: of the layer.
        keras_2: whether Keras 2 wrote it, whose hard_sigmoid is another function.

    Raises:
        ValueError: naming the class or the option, for what is malformed or not supported.
    """
    if class_name == "Bidirectional":
        return _bidirectional(config, keras_2)
    if class_name == "RNN":
        cell_class, of_cell = _nested(config, "cell")
        if cell_class not in _CELLS:
            raise ValueError(f"cell: expected one of {', '.join(_CELLS)}, got {cell_class}")
        class_name, config = _CELLS[cell_class], {**of_cell, **{k: v for k, v in config.items() if k != "cell"}}
    if class_name not in KINDS:
        raise ValueError(f"not a recurrent layer that can be read; expected {_EXPECTED}, got {class_name}")
    kind = KINDS[class_name]
    if config.get("time_major"):  # of Keras 2
        raise ValueError("time_major: expected false; inputs are (batch, time, features) in Keras 3")
    units = config.get("units")
    if not isinstance(units, int) or isinstance(units, bool) or units < 1:
        raise ValueError(f"units: expected a positive integer, got {units!r}")
    by_option = {option: _activation(option, config, keras_2) for option in dict.fromkeys(kind.activations)}
    return Spec(
        kind,
        units,
        tuple(by_option[option] for option in kind.activations),
        use_bias=_flag(config, "use_bias", True),
        reset_after=class_name == "GRU" and _flag(config, "reset_after", True),
        go_backwards=_flag(config, "go_backwards", False),
        zero_output_for_mask=_flag(config, "zero_output_for_mask", False),
    )


def _bidirectional(config: Mapping[str, Any], keras_2: bool) -> Spec:
    class_name, of_forward = _nested(config, "layer")
    if class_name == "Bidirectional":
        raise ValueError("layer: Bidirectional of Bidirectional has no counterpart")
    spec = _within("layer", class_name, of_forward, keras_2)
    if spec.go_backwards:
        raise ValueError("layer: go_backwards=True within Bidirectional has no counterpart: it turns one output alone")
    if config.get("backward_layer") is not None:
        other_class, of_backward = _nested(config, "backward_layer")
        other = _within("backward_layer", other_class, of_backward, keras_2)
        if not other.go_backwards:
            raise ValueError("backward_layer: expected go_backwards=True")
        own = {**vars(spec), "go_backwards": True}
        if different := [name for name, value in vars(other).items() if value != own[name]]:
            raise ValueError(f"backward_layer: expected the options of layer, got other {', '.join(different)}")
    merge = config.get("merge_mode", "concat")
    if not isinstance(merge, str | None) or merge not in MERGES:
        raise ValueError(f"merge_mode: expected one of {', '.join(map(str, MERGES))}, got {merge!r}")
    return Spec(**{**vars(spec), "bidirectional": True, "merge": MERGES[merge]})


def _within(option: str, class_name: str, config: Mapping[str, Any], keras_2: bool) -> Spec:
    try:
        return read_config(class_name, config, keras_2=keras_2)
    except ValueError as error:
        raise ValueError(f"{option}: {error}") from None


def _nested(config: Mapping[str, Any], option: str) -> tuple[str, Mapping[str, Any]]:
    return class_and_config(config.get(option), option)


def class_and_config(serialized: object, what: str) -> tuple[str, Mapping[str, Any]]:
    """The class and the configuration of a serialized object of Keras.

    Raises:
        ValueError: beginning with ``what``, when it is malformed.
    """
    if isinstance(serialized, Mapping):
        class_name, config = serialized.get("class_name"), serialized.get("config")
        if isinstance(class_name, str) and isinstance(config, Mapping):
            return class_name, config
    raise ValueError(f"{what}: expected a mapping with class_name and config, got {_short(serialized)}")


def _activation(option: str, config: Mapping[str, Any], keras_2: bool) -> Activation:
    name = config.get(option, DEFAULTS[option])
    if name is None:
        name = "linear"
    if isinstance(name, str) and name in ACTIVATIONS:
        return HARD_SIGMOID_OF_KERAS_2 if keras_2 and name == "hard_sigmoid" else ACTIVATIONS[name]
    raise ValueError(f"{option}: expected one of {', '.join(ACTIVATIONS)}, got {_short(name)}")


def _flag(config: Mapping[str, Any], option: str, default: bool) -> bool:
    value = config.get(option, default)
    if not isinstance(value, bool):
        raise ValueError(f"{option}: expected true or false, got {_short(value)}")
    return value


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) < 80 else f"{text[:77]}..."
