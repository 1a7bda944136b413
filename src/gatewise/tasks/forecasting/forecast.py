"""A forecast, for programs and as rows of text."""

from collections.abc import Iterator
from typing import Any, NamedTuple


class Forecast(NamedTuple):
    """The forecast of a series.

    Attributes:
        series: its name.
        after: the time stamp of the last step that was read.
        times: those of the steps to come.
        values: the median of each.
        quantiles: other quantiles of each, by name: "q0.1".
    """

    series: str
    after: str
    times: list[str]
    values: list[float]
    quantiles: dict[str, list[float]]

    def rows(self) -> Iterator[dict[str, Any]]:
        """A row for each step to come.

        >>> list(Forecast("a", "2020", ["2021"], [1.0], {"q0.1": [0.5]}).rows())
        [{'series': 'a', 'time': '2021', 'forecast': 1.0, 'q0.1': 0.5}]
        """
        for step, (time, value) in enumerate(zip(self.times, self.values, strict=True)):
            others = {name: column[step] for name, column in self.quantiles.items()}
            yield {"series": self.series, "time": time, "forecast": value, **others}

    def row(self) -> dict[str, Any]:
        """One row, with all steps to come."""
        return {"series": self.series, "time": self.after, "forecast": self.values, **self.quantiles}
