"""Tensors by layer, direction and name, with conversions."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy
import torch
from torch import Tensor

from gatewise.diagnostics.call_record import Location
from gatewise.extras import require


class Label(NamedTuple):
    """The location in the model, and the name of a state, gate or weight."""

    location: Location
    name: str


class LabelledTensors(Mapping[str, Tensor]):
    """Tensors by label, time first.

    Keys of a model with one layer and one direction are plain names: ``tensors["h"]``. Otherwise layer and direction
    are prefixed as in parameter names: ``tensors["recurrent.l1_reverse.h"]``; a plain name also works if it is unique.

    Attributes:
        labels: all labels, in order.
    """

    def __init__(self, values: Mapping[Label, Tensor], *, short: bool) -> None:
        self.labels = tuple(values)
        self.short = short
        self._values = {self.key(label): value for label, value in values.items()}
        self._of_label = dict(values)

    def key(self, label: Label) -> str:
        """The key of a label."""
        return label.name if self.short else f"{label.location}.{label.name}"

    def __getitem__(self, key: str | Label) -> Tensor:
        if isinstance(key, Label):
            return self._of_label[key]
        if key in self._values:
            return self._values[key]
        fitting = [label for label in self.labels if label.name == key]
        if len(fitting) == 1:
            return self._of_label[fitting[0]]
        known = ", ".join(repr(one) for one in self._values) or "nothing"
        why = "several entries have this name" if fitting else "unknown name"
        raise KeyError(f"{key!r}: {why}; the keys are {known}")

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        inside = ", ".join(f"{key!r}: {tuple(value.shape)}" for key, value in self._values.items())
        return f"{type(self).__name__}({{{inside}}})"

    def numpy(self) -> dict[str, "numpy.ndarray[Any, Any]"]:
        """The tensors as NumPy arrays on the CPU, by key."""
        return {key: value.detach().cpu().numpy() for key, value in self._values.items()}

    def pandas(self) -> Any:
        """A pandas DataFrame with a column per tensor and a row per time step.

        Further dimensions (batch rows, units) are averaged, ignoring NaN.

        Raises:
            MissingExtraError: when pandas is not installed.
        """
        require("pandas()", "pandas")
        import pandas  # pyright: ignore[reportMissingModuleSource]

        columns = {
            key: (value.flatten(1).nanmean(dim=1) if value.dim() > 1 else value)
            .detach()
            .cpu()
            .to(torch.float64)
            .numpy()
            for key, value in self._values.items()
        }
        frame = pandas.DataFrame(columns)
        frame.index.name = "step"
        return frame
