"""Attributions: what tokens or steps, and features of them, contribute to the predictions for one sequence."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from gatewise.diagnostics import Trace
from gatewise.diagnostics.report_contents import ChangeMap
from gatewise.formatting import aligned, format_number
from gatewise.models.classifier import Classifier
from gatewise.models.erasure import erasure_attributions
from gatewise.models.tagger import Tagger
from gatewise.tasks.inspected import Inspected, bars, escaped, largest
from gatewise.tasks.inspection import Report, watched

_MAX_ROWS = 20

Unit = Literal["probability", "value"]


class AttributionTarget(NamedTuple):
    """What is attributed to the steps of one sequence.

    Attributes:
        predictions: the names of the P predictions.
        read_out: (B, P) float64 for the scores of B sequences: log-probabilities, or values.
        unit: which of them.
        of_steps: whether there is a prediction for each step.
        loss: what the gradients are of, for steps (T, 1, I); by default the mean negative log-probability, or the mean
            value.
    """

    predictions: list[str]
    read_out: Callable[[Tensor], Tensor]
    unit: Unit = "probability"
    of_steps: bool = False
    loss: Callable[[Tensor], Tensor] | None = None


@dataclass(frozen=True)
class Inspection(Inspected):
    """A sequence that a model read while it was watched, its predictions and their attributions.

    Attributes:
        tokens: the T tokens that were read; of a sequence of numbers the numbers of its steps, from 1.
        predictions: the label; several labels; the label or tag of each step; or the names of the predicted features.
        of_steps: whether there is a prediction for each step.
        unit: "probability", or "value", a number in the units of the data.
        values: that of each prediction.
        contributions: (P, T), by how much step t raises prediction p: its log-odds log p/(1 − p), or its value; see
            `gatewise.models.erasure.erasure_attributions`. A prediction that is certain still has contributions.
        features: the names of the F features of a step, where it has any.
        feature_contributions: (P, F), those of each feature, at all steps together.
        trace: what was recorded: ``.diagnose()`` has the findings.
    """

    tokens: Sequence[Any]
    predictions: list[str]
    of_steps: bool
    unit: Unit
    values: list[float]
    contributions: Tensor
    features: list[str]
    feature_contributions: Tensor
    trace: Trace

    @property
    def probabilities(self) -> list[float]:
        """The probability of each prediction.

        Raises:
            ValueError: where predictions are numbers.
        """
        if self.unit != "probability":
            raise ValueError("probabilities: the predictions of this model are numbers, see values")
        return self.values

    def rows(self) -> list[dict[str, Any]]:
        """Each prediction, and the contributions of every token or step, and of every feature of the steps."""
        parts = zip(
            self.predictions, self.values, self.contributions.tolist(), self.feature_contributions.tolist(), strict=True
        )
        found: list[dict[str, Any]] = []
        for prediction, value, by_tokens, by_features in parts:
            contributions = _pairs(self.tokens, by_tokens)
            row: dict[str, Any] = {"prediction": prediction, self.unit: value, "contributions": contributions}
            if self.features:
                row["feature_contributions"] = _pairs(self.features, by_features)
            found.append(row)
        return found

    def __str__(self) -> str:
        rows = self.rows()
        if len(rows) == 1 and not self.of_steps:
            return self._single_prediction(rows[0])
        lines: list[list[str]] = []
        for position, row in enumerate(rows):
            step = [escaped(self.tokens[position])] if self.of_steps else []
            by = [largest(row["contributions"], position if self.of_steps else None)]
            by += [largest(row["feature_contributions"])] if self.features else []
            lines.append([*step, row["prediction"], format_number(row[self.unit]), *by])
        if self.features:
            head = ["step", "label"] if self.of_steps else ["feature of the next step"]
            head += [self.unit, "largest contributions of steps", "of features"]
        else:
            head = [*(["token", "tag"] if self.of_steps else ["label"]), self.unit, "largest contributions"]
        first = (">" if self.features else "<") if self.of_steps else ""
        return aligned([head, *lines], f"{first}<><{'<' if self.features else ''}")

    def _single_prediction(self, row: Mapping[str, Any]) -> str:
        """One prediction, with bars for its contributions; of steps and features the largest."""
        tables = [_bars("step" if self.features else "token", row["contributions"], "steps" if self.features else None)]
        if self.features:
            by_features = sorted(row["feature_contributions"], key=lambda pair: -abs(pair[1]))
            tables.append(_bars("feature", by_features, "features"))
        return f"prediction: {row['prediction']}, {self.unit} {format_number(row[self.unit])}\n" + "\n\n".join(tables)


def _pairs(names: Sequence[Any], values: Sequence[float]) -> list[list[Any]]:
    return [[name, value] for name, value in zip(names, values, strict=True)]


def _bars(what: str, contributions: Sequence[Sequence[Any]], plural: str | None) -> str:
    """Bars for parts; of more than a number of what has a plural the largest, in their order."""
    chosen = list(contributions)
    if plural is not None and len(contributions) > _MAX_ROWS:
        most = sorted(range(len(contributions)), key=lambda index: -abs(contributions[index][1]))[:_MAX_ROWS]
        chosen = [contributions[position] for position in sorted(most)]
    table = bars(what, [(escaped(name), value) for name, value in chosen])
    omitted = len(contributions) - len(chosen)
    return table + (f"\n{omitted:,} {plural} with smaller contributions omitted" if omitted else "")


def inspect_predictions(
    model: Classifier | Tagger,
    x: Tensor,
    tokens: Sequence[Any],
    target: AttributionTarget,
    report: Report,
    features: Mapping[str, Sequence[int]] | None = None,
) -> Inspection:
    """Watch a model read one sequence, attribute its predictions, and write the report.

    Args:
        model: the model, in evaluation mode.
        x: the steps (T, 1, I) as its encoder reads them.
        tokens: the names of the T steps.
        target: what is attributed.
        report: what to write.
        features: of each feature of a step, by name, its columns in x; None for steps that are tokens.

    Raises:
        OSError: when the report cannot be written.
    """
    certain = target.unit == "probability"

    def read_out(x: Tensor) -> Tensor:
        return target.read_out(model.read(x, torch.full(x.shape[1:2], len(x))))

    def score(x: Tensor) -> Tensor:
        return log_odds(read_out(x)) if certain else read_out(x)

    def loss(x: Tensor) -> Tensor:
        if target.loss is not None:
            return target.loss(x)
        return -read_out(x).mean() if certain else read_out(x).mean()

    with torch.no_grad():
        found = read_out(x)[0]
    values: list[float] = (found.exp() if certain else found).tolist()
    names, columns = list(features or {}), list((features or {}).values())
    contributions = erasure_attributions(x[:, 0], score).T
    by_features = erasure_attributions(x[:, 0], score, columns).T if names else contributions.new_empty(len(values), 0)
    trace = watched(model, model.encoder, lambda: loss(x))
    inspection = Inspection(
        tokens, target.predictions, target.of_steps, target.unit, values, contributions, names, by_features, trace
    )
    if names:
        report.write(trace, tokens=[str(token) for token in tokens], changes=_change_maps(inspection))
    else:
        report.write(
            trace, tokens=tokens, attributions=list(zip(target.predictions, contributions.tolist(), strict=True))
        )
    return inspection


def log_odds(log_probability: Tensor) -> Tensor:
    """The log-odds log p/(1 − p).

    Robnik-Šikonja & Kononenko 2008, "Explaining classifications for individual instances".

    Args:
        log_probability: log p, float64; what is nearer to 0 than its precision is taken for that.
    """
    below = log_probability.clamp(max=-1e-15)
    return below - (-torch.expm1(below)).log()


def _change_maps(found: Inspection) -> list[ChangeMap]:
    """The contributions of steps and of features, for the report."""
    unit = "probability " if found.unit == "probability" else ""
    if found.of_steps:
        names = [f"step {step}: {prediction}," for step, prediction in enumerate(found.predictions, 1)]
    else:
        names = [f"{_named('feature', prediction)}:" for prediction in found.predictions]
    lines = [f"{name} {unit}{format_number(value)}" for name, value in zip(names, found.values, strict=True)]
    title = "Contribution of each {} to the predictions, against its erasure"
    columns = [_named("feature", name) for name in found.features]
    return [
        ChangeMap(title.format("step"), [str(token) for token in found.tokens], lines, found.contributions),
        ChangeMap(title.format("feature"), columns, lines, found.feature_contributions, timed=False),
    ]


def _named(what: str, name: str) -> str:
    """A name; with what it is the name of, if it is only a number."""
    return f"{what} {name}" if name.isdecimal() else name
