"""Regularisation of recurrences: the options of a layer as cells with masks, and their probabilities."""

from collections.abc import Callable, Mapping
from numbers import Real
from typing import TypeAlias, TypedDict

from gatewise.equations import Cell
from gatewise.equations.regularisation import (
    CANDIDATE,
    VARIATIONAL,
    with_recurrent_dropout,
    with_variational_dropout,
    with_zoneout,
    zoneout_masks,
)
from gatewise.kernels.masks import Masks, rates_of, text_of

Zoneout: TypeAlias = float | tuple[float, float]
MaskRates: TypeAlias = Mapping[str, float] | None


class RegularisationOptions(TypedDict, total=False):
    """The options of `Recurrent` that regularise a recurrence."""

    recurrent_dropout: float
    variational: float
    zoneout: Zoneout
    weight_drop: float


class Regularisation:
    """The cells that a layer runs in training and in evaluation, and the rates of their masks.

    Args:
        cell: the layer's.
        rates: of the cell's own masks, by name.
        recurrent_dropout, variational, zoneout: see `Recurrent`.

    Raises:
        ValueError: for a value that is not a probability, a mask without one, or an option that the cell cannot have.
    """

    def __init__(
        self, cell: Cell, rates: MaskRates, recurrent_dropout: float, variational: float, zoneout: Zoneout
    ) -> None:
        probabilities = _own_rates(cell, rates)
        for name, value in {"recurrent_dropout": recurrent_dropout, "variational": variational}.items():
            check_probability(name, value)
        training, evaluation = cell, cell
        # Later ones act on what the former have made: the states that zoneout keeps are those of the whole step.
        of_zoneout = _of_states(cell, zoneout)
        dropouts: list[tuple[float, str, Callable[[Cell], Cell]]] = [
            (recurrent_dropout, CANDIDATE, with_recurrent_dropout),
            (variational, VARIATIONAL, with_variational_dropout),
        ]
        for p, name, change in dropouts:
            if p > 0:
                training, probabilities[name] = change(training), p
        if any(p > 0 for p in of_zoneout.values()):
            training, evaluation = with_zoneout(training), with_zoneout(evaluation)
            probabilities |= of_zoneout
        self._cells = {True: training, False: evaluation}
        found = {mode: rates_of(one.masks, probabilities, training=mode) for mode, one in self._cells.items()}
        self._masks = {mode: Masks(None, each, rates_text=text_of(each)) for mode, each in found.items()}
        self._draws = {mode: any(each[::2]) for mode, each in found.items()}
        self.per_sequence = any(mask.kind == "dropout" and probabilities[mask.name] > 0 for mask in training.masks)

    def cell(self, *, training: bool) -> Cell:
        """The cell that runs."""
        return self._cells[training]

    def masks(self, *, training: bool) -> Masks:
        """Its masks, without a seed."""
        return self._masks[training]

    def draws(self, *, training: bool) -> bool:
        """Whether random numbers decide any of them."""
        return self._draws[training]


def check_probability(name: str, value: float) -> None:
    """Raise a ValueError unless an argument is a probability."""
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= value <= 1:
        raise ValueError(f"{name}: expected a probability between 0 and 1, got {value!r}")


def _own_rates(cell: Cell, rates: MaskRates) -> dict[str, float]:
    given = dict(rates or {})
    names = {mask.name for mask in cell.masks}
    for name, value in given.items():
        if name not in names:
            known = f"its masks are {', '.join(sorted(names))}" if names else "it has none"
            raise ValueError(f"rates: the cell {cell.name} has no mask {name!r}; {known}")
        check_probability(f"rates[{name!r}]", value)
    if missing := sorted(names - given.keys()):
        pairs = ", ".join(f"{name!r}: p" for name in missing)
        raise ValueError(f"rates: the cell {cell.name} needs a probability for each mask: pass rates={{{pairs}}}")
    return given


def _of_states(cell: Cell, zoneout: Zoneout) -> dict[str, float]:
    """The probabilities by the name of the mask."""
    masks = list(dict.fromkeys(zoneout_masks(cell)))
    pair = zoneout if isinstance(zoneout, tuple) else (zoneout,) * len(masks)
    if len(pair) != len(masks):
        first, *others = cell.states
        states = " and one for ".join([first, ", ".join(others)] if others else [first])
        raise ValueError(f"zoneout: expected a probability for {states}, got {zoneout!r}")
    for value in pair:
        check_probability("zoneout", value)
    return {name: float(p) for name, p in zip(masks, pair, strict=True)}
