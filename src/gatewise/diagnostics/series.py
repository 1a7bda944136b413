"""Values by layer, direction and name, with conversions."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy
import torch
from torch import Tensor

from gatewise.diagnostics.recorded import Place
from gatewise.extras import require


class Label(NamedTuple):
    """Of one series: where in the model, and which state, gate or weight."""

    place: Place
    name: str


class Series(Mapping[str, Tensor]):
    """Tensors by label, time first.

    A model with one layer and one direction has plain names for keys: ``series["h"]``. Otherwise layer and direction
    stand before them as in the names of parameters: ``series["recurrent.l1_reverse.h"]``; a plain name is understood
    wherever only one series has it.

    Attributes:
        labels: of all series, in order.
    """

    def __init__(self, values: Mapping[Label, Tensor], *, short: bool) -> None:
        self.labels = tuple(values)
        self.short = short
        self._values = {self.key(label): value for label, value in values.items()}
        self._of_label = dict(values)

    def key(self, label: Label) -> str:
        """How a label is written as a key."""
        return label.name if self.short else f"{label.place}.{label.name}"

    def __getitem__(self, key: str | Label) -> Tensor:
        if isinstance(key, Label):
            return self._of_label[key]
        if key in self._values:
            return self._values[key]
        fitting = [label for label in self.labels if label.name == key]
        if len(fitting) == 1:
            return self._of_label[fitting[0]]
        known = ", ".join(repr(one) for one in self._values) or "nothing"
        why = "several series have this name" if fitting else "no series has this name"
        raise KeyError(f"{key!r}: {why}; there is {known}")

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        inside = ", ".join(f"{key!r}: {tuple(value.shape)}" for key, value in self._values.items())
        return f"{type(self).__name__}({{{inside}}})"

    def numpy(self) -> dict[str, "numpy.ndarray[Any, Any]"]:
        """The series as NumPy arrays by key, copied from their device."""
        return {key: value.detach().cpu().numpy() for key, value in self._values.items()}

    def pandas(self) -> Any:
        """The series as columns of a pandas DataFrame, a row per time step.

        What has further dimensions (batch rows, units) is averaged over them, NaN left out.

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
