"""A model as the C runtime sees it: a row of parts, each of which may be missing."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from gatewise.equations import Cell
from gatewise.kernels import IntegerPrecision

Array = np.ndarray
Pool = Literal["none", "last", "mean", "max", "attention"]


@dataclass(frozen=True)
class LayerPart:
    """One recurrent layer.

    Attributes:
        cell: what it runs in evaluation.
        input_size: I.
        hidden_size: H.
        directions: D.
        reverse: whether the one direction reads from the end.
        parameters: of each direction, of each group of the cell.
        rates: of the masks of the cell, see `gatewise.kernels.masks.Masks`.
        merge: how two directions become one.
        merge_weight, merge_bias: of a learned merge.
        scales: of each row of the parameters that are 8-bit integers, in their order.
        projection: P, the width of states of a projection; 0 if the cell has none.
        heads: into how many heads the matrices are divided that the cell declares so.
    """

    cell: Cell
    input_size: int
    hidden_size: int
    directions: int
    reverse: bool
    parameters: tuple[Array, ...]
    rates: tuple[float, ...] = ()
    merge: str = "concat"
    merge_weight: Array | None = None
    merge_bias: Array | None = None
    scales: tuple[Array, ...] = ()
    projection: int = 0
    heads: int = 1

    @property
    def state_widths(self) -> tuple[int, ...]:
        """The width of each state; that of the first is the output's, in one direction."""
        return tuple(self.projection if width == "P" else self.hidden_size for width in self.cell.widths)

    @property
    def state_size(self) -> int:
        """The numbers of the state of a row."""
        return self.directions * sum(self.state_widths)

    @property
    def width(self) -> int:
        """The width of a step of the output."""
        return self.state_widths[0] * (self.directions if self.merge == "concat" else 1)


@dataclass(frozen=True)
class Scaled:
    """A value of the data: (value − mean) / divisor is read, 0 where it is missing.

    Attributes:
        mean, divisor: float64.
        flag: the number of the input that says whether it is missing; −1 for a value that has none.
    """

    mean: float
    divisor: float
    flag: int = -1


@dataclass(frozen=True)
class Forecast:
    """Quantiles of K steps of a series, which is the first of the values; see ``csrc/runtime/description.h``.

    Attributes:
        kind: what the outputs of the network are: ``point``, ``quantile`` or ``gaussian``.
        window, season, horizon: W, the steps of a season, K.
        outputs, located: Q, and how many of these move with the level.
        levels: of the quantiles, 0.5 among them.
        steps: quantiles of a standard normal distribution at these levels.
        blend: (R, K), the weights of the references.
        moves: (K, L), what calibration adds to quantiles, in units of the scale; None for nothing.
        future: of what is known of steps to come: W and b of the state, W of what is known, W of both; or none.
        paths: P, along which values are drawn one after the other; 0 where all steps are forecast at once.
        noise: (P // 2 + 1, K), that of half of the paths, of which the others have the negative; None where none is.
    """

    kind: str
    window: int
    season: int
    horizon: int
    outputs: int
    located: int
    levels: tuple[float, ...]
    steps: tuple[float, ...]
    blend: Array
    moves: tuple[float, ...] | None = None
    future: tuple[Array, ...] = ()
    paths: int = 0
    noise: Array | None = None

    @property
    def ahead(self) -> int:
        """The steps that the network forecasts at once, K or 1."""
        return 1 if self.paths else self.horizon


@dataclass(frozen=True)
class Model:
    """A model.

    Attributes:
        layers: from the lowest.
        numbers: numbers of a step that are read as they are.
        values: those that are scaled before.
        embeddings: tables of vectors, one for each token of a step.
        whole: whether every call is of whole sequences.
        masks: whether steps can be skipped.
        repeats: whether the output repeats the state at these.
        pool: how the outputs of a sequence become one.
        attention: W, b and v of the pool attention.
        read_out: W and b of a linear map of the output, or of the pooled one.
        transitions: (K + 1, K + 1), the scores of tag after tag.
        answers: whether outputs are scores of classes.
        forecast: of a series.
        details: what programs around the model need to know of it, as JSON values by name.
        precision: of the products of its layers; None for that of the numbers.
    """

    layers: tuple[LayerPart, ...]
    numbers: int = 0
    values: tuple[Scaled, ...] = ()
    embeddings: tuple[Array, ...] = ()
    whole: bool = False
    masks: bool = False
    repeats: bool = False
    pool: Pool = "none"
    attention: tuple[Array, Array, Array] | None = None
    read_out: tuple[Array, Array] | None = None
    transitions: Array | None = None
    answers: bool = False
    forecast: Forecast | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    precision: IntegerPrecision | None = None

    @property
    def number(self) -> str:
        """The C type of its numbers.

        Raises:
            ValueError: when it is neither float nor double, or layers differ.
        """
        found = {one.dtype for one in self.tensors if one.dtype != np.int8}
        for dtype, name in ((np.dtype(np.float32), "float"), (np.dtype(np.float64), "double")):
            if found == {dtype}:
                return name
        names = ", ".join(sorted(one.name for one in found))
        raise ValueError(f"module: expected weights of float32 or float64 throughout, got {names}; call module.float()")

    @property
    def tensors(self) -> list[Array]:
        """All tensors, in the order of the file of weights."""
        found: list[Array | None] = []
        for layer in self.layers:
            found += [*layer.parameters, *layer.scales, layer.merge_weight, layer.merge_bias]
        found += [*self.embeddings, *(self.attention or ()), *(self.read_out or ()), self.transitions]
        if self.forecast is not None:
            found += [self.forecast.blend, *self.forecast.future, self.forecast.noise]
        return [one for one in found if one is not None]

    def number_of(self, tensor: Array | None) -> int:
        """The number of a tensor in the file; −1 for None."""
        return -1 if tensor is None else next(at for at, one in enumerate(self.tensors) if one is tensor)

    @property
    def outputs(self) -> int:
        """The numbers of an output."""
        if self.forecast is not None:
            return self.forecast.horizon * len(self.forecast.levels)
        if self.read_out is not None:
            return len(self.read_out[0])
        last = self.layers[-1]
        return last.directions * last.state_widths[0] if self.pool == "last" else last.width

    @property
    def value_count(self) -> int:
        """Values of a step, that of a series first."""
        return len(self.values) + (self.forecast is not None)

    @property
    def further(self) -> int:
        """Numbers about the steps that are forecast."""
        if self.forecast is None:
            return 0
        known = len(self.values) + len(self.embeddings) + (self.numbers if self.forecast.paths else 0)
        return self.forecast.horizon * known

    @property
    def flags(self) -> int:
        """Inputs that say whether a value is missing."""
        return sum(one.flag >= 0 for one in self.values)

    @property
    def state_size(self) -> int:
        """The numbers of the state of a row."""
        return sum(layer.state_size for layer in self.layers)

    @property
    def reads_from_end(self) -> bool:
        """Whether a layer does."""
        return any(layer.directions == 2 or layer.reverse for layer in self.layers)
