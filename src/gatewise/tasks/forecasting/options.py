"""The options of ``gatewise train forecast``."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from gatewise.tasks.command import Command
from gatewise.tasks.options import Bounds, Count, Positive, without_effect
from gatewise.tasks.table_options import NumberTableOptions
from gatewise.tasks.training_options import Patience, TrainingOptions


@dataclass(frozen=True, kw_only=True)
class SeriesOptions(NumberTableOptions):
    """What series to learn, and which part of them for what."""

    data: tuple[Path, ...] = ()
    """Tables (.csv, .tsv, .jsonl, .parquet, .arrow), or folders of them; by default monthly sunspot numbers."""
    keep_data: bool = False
    """Keep a copy of the data in the run folder, and read that from then on."""
    time_column: str | None = None
    """Column of the time stamps, or several: year,month,day; row: rows are steps. By default one that looks like it."""
    time_format: str | None = None
    """Form of the time stamps: %d/%m/%Y and the like; number; epoch-s, -ms, -us or -ns. By default as they look."""
    time_zone: str | None = None
    """Time zone of stamps that do not have their distance from UTC, such as Europe/Berlin; steps are equal in UTC."""
    series_column: str | None = None
    """Column that says which series a row belongs to; by default each column of values is a series."""
    value_columns: tuple[str, ...] = ()
    """Columns to forecast; by default all others."""
    covariate_columns: tuple[str, ...] = ()
    """Columns of numbers that are known for the steps to come too: prices planned, holidays."""
    categorical: tuple[str, ...] = ()
    """Columns of text, or of numbers that are only names, known likewise, or of a whole series: a region."""
    calendar: bool = True
    """Use the hour of the day, the day of the week and the time of the year as inputs."""
    held_out: Annotated[float, Bounds(low=0, open=True)] = 0.1
    """Share (below 1) or number of steps of each series, before the test, that decides which weights are kept."""
    test: Annotated[float, Bounds(low=0)] | Path = 0.2
    """Share or number of steps at the end of each series for the back-test, or a table of what comes after the data."""
    valid: Path | None = None
    """Table of the steps after the data that decide which weights are kept, instead of held-out."""


@dataclass(frozen=True, kw_only=True)
class ForecastOptions(TrainingOptions, SeriesOptions):
    """Options of forecasts; the docstring of a field is its help."""

    horizon: Count | None = None
    """Steps to forecast; by default a season, or 12 where that is none or more than 60."""
    season: Count | None = None
    """Steps of a season, for the baseline and the network; by default what the time stamps suggest; 1 for none."""
    window: Annotated[int, Bounds(low=4)] | None = None
    """Steps before a forecast that scale it, and that are learned from at once; by default a quarter, at most 256."""
    strategy: Literal["direct", "recursive"] = "direct"
    """All steps at once, or one by one, each from those predicted before."""
    output: Literal["point", "quantile", "gaussian"] | None = None
    """Prediction for a step: the median, quantiles (default), or a normal distribution (default when recursive)."""
    quantiles: tuple[float, ...] = (0.1, 0.5, 0.9)
    """Quantiles to learn, or to read off the normal distribution; the median is always among them."""
    calibrate: bool = True
    """Move the quantiles so that each holds its share of the held-out values (split conformal prediction)."""
    category_size: Count = 8
    """Width of the embedding of each categorical column."""
    hidden: Count = 64
    dropout: Annotated[float, Bounds(low=0, high=0.95)] = 0.2
    """Probability of dropping a unit of the hidden state, the same for all steps of a series."""
    batch: Count = 32
    """Windows per step."""
    epochs: Count = 40
    """Passes over the training windows."""
    lr: Positive = 1e-3
    patience: Patience = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        if not all(0 < level < 1 for level in self.quantiles):
            raise ValueError(f"quantiles: expected numbers above 0 and below 1, got {self.quantiles}")
        object.__setattr__(self, "quantiles", tuple(sorted({*self.quantiles, 0.5})))
        if self.output is None:
            object.__setattr__(self, "output", "gaussian" if self.strategy == "recursive" else "quantile")
        if self.strategy == "recursive" and self.output == "quantile":
            raise ValueError(
                "output: quantiles of one step do not determine those of the next; for strategy recursive choose "
                "gaussian or point, or take strategy direct"
            )
        self._check_parts()

    @classmethod
    def defaults_for(cls, values: Mapping[str, Any]) -> Mapping[str, object]:
        """No test, beside a table of the held-out steps, unless one is given."""
        return {"test": 0.0} if values.get("valid") is not None else {}

    def _check_parts(self) -> None:
        shares = 0.0
        for name, value in (("held_out", self.held_out), ("test", self.test)):
            if isinstance(value, Path):
                continue
            if value >= 1 and value != int(value):
                raise ValueError(f"{name}: expected a share below 1 or a whole number of steps, got {value:g}")
            if 0.9 < value < 1:
                raise ValueError(f"{name}: expected a share of at most 0.9 or a number of steps, got {value:g}")
            shares += value if value < 1 else 0
        if shares >= 1:
            raise ValueError(f"held_out and test: nothing is left to learn from ({self.held_out:g} + {self.test:g})")
        if self.valid is not None and not isinstance(self.test, Path) and self.test > 0:
            raise ValueError(
                f"test: beside a table of held-out steps (valid) expected a table of the steps after them, or 0; got "
                f"{self.test:g}"
            )

    @property
    def levels(self) -> tuple[float, ...]:
        """The levels of the quantiles that are predicted; the median alone where points are."""
        return (0.5,) if self.output == "point" else self.quantiles

    def unused(self) -> dict[str, str]:
        return {
            **super().unused(),
            **without_effect(
                ["quantiles", "calibrate"],
                "output is point: the median alone is predicted",
                when=self.output == "point",
            ),
            **without_effect(["category_size"], "there are no columns in categorical", when=not self.categorical),
            **without_effect(["held_out"], "valid names the steps instead", when=self.valid is not None),
            **without_effect(
                ["time_format", "time_zone"], "rows are steps, without time stamps", when=self.time_column == "row"
            ),
        }


COMMAND = Command(
    "Train on time series, one or many: forecast the steps to come, with intervals.",
    ("history.csv --format csv", "history.csv --follow"),
)
