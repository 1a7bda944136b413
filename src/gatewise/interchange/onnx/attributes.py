"""The attributes of a recurrent node, checked."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import AttributeProto, NodeProto

from gatewise.interchange.onnx import activations
from gatewise.interchange.onnx.activations import Activation
from gatewise.interchange.onnx.conventions import DIRECTIONS, Direction, Operator

_TYPES = {
    "activation_alpha": ("FLOATS", "floats"),
    "activation_beta": ("FLOATS", "floats"),
    "activations": ("STRINGS", "strings"),
    "clip": ("FLOAT", "f"),
    "direction": ("STRING", "s"),
    "hidden_size": ("INT", "i"),
    "input_forget": ("INT", "i"),
    "layout": ("INT", "i"),
    "linear_before_reset": ("INT", "i"),
    "output_sequence": ("INT", "i"),
}
_LARGEST = float(np.finfo(np.float32).max)  # what exporters write for "not clipped"


@dataclass(frozen=True)
class Attributes:
    """The attributes of a node.

    Attributes:
        direction: as in ONNX.
        hidden_size: H, or None where it has to be taken from R.
        activations: per direction.
        clip: the bound, or None.
        coupled: input_forget.
        linear_before_reset: of a GRU.
        batch_first: layout 1.
    """

    direction: Direction
    hidden_size: int | None
    activations: tuple[tuple[Activation, ...], ...]
    clip: float | None
    coupled: bool
    linear_before_reset: bool
    batch_first: bool

    @property
    def direction_count(self) -> int:
        """The number of directions."""
        return 2 if self.direction == "bidirectional" else 1


def read_attributes(node: NodeProto, operator: Operator) -> Attributes:
    """The attributes of a node.

    Raises:
        ValueError: naming the attribute, for one that is unknown or has an invalid value.
    """
    values = {attribute.name: _value(attribute, operator) for attribute in node.attribute}
    direction = values.get("direction", "forward")
    if direction not in DIRECTIONS:
        raise ValueError(f"direction: expected {', '.join(DIRECTIONS)}, got {direction!r:.60}")
    count = 2 if direction == "bidirectional" else 1
    names = values.get("activations") or operator.activations * count
    each = len(operator.activations)
    if operator.name == "RNN" and len(names) == 2:
        names = names[:count]  # the default of the schema, whatever the direction; ONNX Runtime reads the first
    if len(names) != each * count:
        raise ValueError(f"activations: expected {each * count} of them for direction {direction}, got {len(names)}")
    alphas, betas = (_decimal(values.get(f"activation_{name}", ())) for name in ("alpha", "beta"))
    found = activations.parse(names, alphas, betas)
    hidden_size = values.get("hidden_size")
    if hidden_size is not None and hidden_size < 1:
        raise ValueError(f"hidden_size: expected at least 1, got {hidden_size}")
    layout = values.get("layout", 0)
    if layout not in (0, 1):
        raise ValueError(f"layout: expected 0 or 1, got {layout}")
    return Attributes(
        direction=direction,
        hidden_size=hidden_size,
        activations=tuple(found[start : start + each] for start in range(0, len(found), each)),
        clip=_clip(values.get("clip")),
        coupled=bool(values.get("input_forget", 0)),
        linear_before_reset=bool(values.get("linear_before_reset", 0)),
        batch_first=layout == 1,
    )


def _value(attribute: AttributeProto, operator: Operator) -> Any:
    name = attribute.name
    if name not in operator.attributes:
        raise ValueError(
            f"{name!r:.60} is not an attribute of {operator.name}: {', '.join(sorted(operator.attributes))}"
        )
    expected, field = _TYPES[name]
    if attribute.ref_attr_name:
        raise ValueError(f"{name}: refers to the attribute {attribute.ref_attr_name!r:.60} of a function; inline it")
    if attribute.type != getattr(AttributeProto, expected):
        raise ValueError(f"{name}: expected an attribute of type {expected}, got type {_type_name(attribute.type)}")
    value = getattr(attribute, field)
    if expected == "STRING":
        return _text(name, value)
    if expected == "STRINGS":
        return tuple(_text(name, one) for one in value)
    return tuple(value) if expected == "FLOATS" else value


def _type_name(number: int) -> str:
    return AttributeProto.AttributeType.Name(number) if number in AttributeProto.AttributeType.values() else str(number)


def _text(name: str, value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"{name}: expected a text in UTF-8, got {value!r:.60}") from None


def _decimal(values: Sequence[float]) -> list[float]:
    """The numbers as they were written: attributes are stored in float32, where 0.2 is 0.20000000298."""
    return [float(str(np.float32(value))) for value in values]


def _clip(value: float | None) -> float | None:
    if value is None or value >= _LARGEST:
        return None
    if not value > 0:
        raise ValueError(f"clip: expected a positive number, got {value:g}")
    return _decimal([value])[0]
