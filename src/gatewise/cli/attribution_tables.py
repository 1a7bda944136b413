"""Attributions of a model's answers, as tables for a terminal and as JSON values."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gatewise.cli.tables import aligned
from gatewise.formatting import format_number

if TYPE_CHECKING:
    from gatewise.tasks.forecasting.inspection import ForecastInspection
    from gatewise.tasks.inspection import Inspection
    from gatewise.tasks.numeric.inspection import NumericInspection
    from gatewise.tasks.sequence_to_sequence.inspection import AnswerInspection

    Answered = Inspection | AnswerInspection | NumericInspection | ForecastInspection

_MOST = 3
_MOST_ROWS = 20
_BAR = 20


def attribution_rows(found: "Answered") -> list[dict[str, Any]]:
    """Each answer with its probability and the contribution of every token to its log-odds.

    For generated text, the attention of each of its tokens. For numeric sequences, the contribution of every step
    (counted from 1) and feature. For forecasts, the contribution of every value and covariate to each forecast step.
    """
    from gatewise.tasks.forecasting.inspection import ForecastInspection
    from gatewise.tasks.inspection import Inspection
    from gatewise.tasks.sequence_to_sequence.inspection import AnswerInspection

    if isinstance(found, ForecastInspection):
        return _forecast_rows(found)
    if isinstance(found, AnswerInspection):
        return [{"answer": found.answer, "looked_at": _attention_rows(found)}]
    if not isinstance(found, Inspection):
        return _of_numbers(found)
    rows = zip(found.answers, found.probabilities, found.moved.tolist(), strict=True)
    return [
        {
            "answer": answer,
            "probability": probability,
            "moved_by": [[token, value] for token, value in zip(found.tokens, values, strict=True)],
        }
        for answer, probability, values in rows
    ]


def attribution_table(found: "Answered") -> str:
    """A label with the contribution of every word; tags with the largest contributions; attention; a forecast."""
    from gatewise.tasks.forecasting.inspection import ForecastInspection
    from gatewise.tasks.inspection import Inspection
    from gatewise.tasks.sequence_to_sequence.inspection import AnswerInspection

    if isinstance(found, ForecastInspection):
        return _forecast(found)
    if isinstance(found, AnswerInspection):
        return _text(found)
    rows = attribution_rows(found)
    if isinstance(found, Inspection):
        return _label(rows[0]) if len(rows) == 1 else _tags(found.tokens, rows)
    return _numbers(found, rows)


def _forecast_rows(found: "ForecastInspection") -> list[dict[str, Any]]:
    steps = [*found.past, *found.forecast.times]
    rows: list[dict[str, Any]] = []
    for row, position in zip(found.forecast.rows(), range(len(found.moved)), strict=True):
        values = zip(steps, found.moved[position].tolist(), strict=False)
        row["moved_by"] = [[*pair] for pair in values]
        for name, changes in found.covariates.items():
            row[f"moved_by_{name}"] = [[*pair] for pair in zip(steps, changes[position].tolist(), strict=True)]
        rows.append(row)
    return rows


def _forecast(found: "ForecastInspection") -> str:
    causes = {"moved_by": "", **{f"moved_by_{name}": f"{name} " for name in found.covariates}}
    rows: list[list[str]] = []
    for row in _forecast_rows(found):
        moves = [(prefix + step, value) for key, prefix in causes.items() for step, value in row[key]]
        most = sorted(moves, key=lambda item: -abs(item[1]))[:_MOST]
        by = ", ".join(f"{step} {format_number(value, sign='+')}" for step, value in most)
        rows.append([row["time"], format_number(row["forecast"], 6), by])
    title = f"forecast of {found.forecast.series} after {found.forecast.after}"
    return f"{title}\n{aligned([['time', 'forecast', 'moved most by'], *rows], '<><')}"


def _attention_rows(found: "AnswerInspection") -> list[dict[str, Any]]:
    if found.attention is None:
        return []
    source, answer, weights = found.attention
    rows = zip(answer, weights.tolist(), strict=True)
    return [{"token": token, "weights": [[*pair] for pair in zip(source, row, strict=True)]} for token, row in rows]


def _text(found: "AnswerInspection") -> str:
    rows = []
    for token in _attention_rows(found):
        most = sorted(token["weights"], key=lambda item: -item[1])[:_MOST]
        rows.append(
            [
                repr(token["token"])[1:-1],
                ", ".join(f"{repr(word)[1:-1]} {format_number(value, 2)}" for word, value in most),
            ]
        )
    table = aligned([["token", "most attended"], *rows], "<<") if rows else "no attention in this model"
    plot = "" if found.picture is None else f"\nplot: {found.picture}"
    return f"answer: {found.answer}\n{table}{plot}"


def _label(answer: dict[str, Any]) -> str:
    table = _bars("token", [(repr(token)[1:-1], value) for token, value in answer["moved_by"]])
    return f"answer: {answer['answer']}, probability {format_number(answer['probability'])}\n{table}"


def _bars(what: str, moved: Sequence[tuple[str, float]]) -> str:
    most = max((abs(value) for _, value in moved), default=0.0) or 1.0
    rows = [
        [name, format_number(value, sign="+"), ("+" if value > 0 else "-") * round(_BAR * abs(value) / most)]
        for name, value in moved
    ]
    return aligned([[what, "moves it by", ""], *rows], "<><")


def _tags(tokens: list[str], given: list[dict[str, Any]]) -> str:
    rows = [
        [repr(token)[1:-1], answer["answer"], format_number(answer["probability"]), _most(answer["moved_by"], position)]
        for position, (token, answer) in enumerate(zip(tokens, given, strict=True))
    ]
    return aligned([["token", "tag", "probability", "moved most by"], *rows], "<<><")


def _most(moved: Sequence[Sequence[Any]], own: int | None = None) -> str:
    """The largest contributions to an answer; the one at index ``own`` is the answer's own token or step."""
    values = sorted(enumerate(moved), key=lambda item: -abs(item[1][1]))[:_MOST]
    return ", ".join(
        f"{'itself' if index == own else repr(str(part))[1:-1]} {format_number(value, 3, '+')}"
        for index, (part, value) in values
    )


def _of_numbers(found: "NumericInspection") -> list[dict[str, Any]]:
    steps = range(1, found.steps + 1)
    rows = zip(found.answers, found.told, found.moved.tolist(), found.moved_by_features.tolist(), strict=True)
    return [
        {
            "answer": answer,
            found.unit: value,
            "moved_by": [[step, value] for step, value in zip(steps, by_steps, strict=True)],
            "moved_by_features": [[name, value] for name, value in zip(found.features, by_features, strict=True)],
        }
        for answer, value, by_steps, by_features in rows
    ]


def _numbers(found: "NumericInspection", given: list[dict[str, Any]]) -> str:
    if len(given) == 1 and not found.of_steps:
        (answer,) = given
        of_steps = sorted(sorted(answer["moved_by"], key=lambda item: -abs(item[1]))[:_MOST_ROWS])
        of_features = sorted(answer["moved_by_features"], key=lambda item: -abs(item[1]))[:_MOST_ROWS]
        tables = [
            _bars("step", [(str(step), value) for step, value in of_steps]),
            _bars("feature", [(name, value) for name, value in of_features]),
        ]
        omitted = found.steps - len(of_steps), len(found.features) - len(of_features)
        for index, (count, what) in enumerate(zip(omitted, ("steps", "features"), strict=True)):
            if count:
                tables[index] += f"\n{count:,} {what} with smaller contributions omitted"
        return f"answer: {answer['answer']}, {found.unit} {format_number(answer[found.unit])}\n" + "\n\n".join(tables)
    rows = [
        [
            *([str(position + 1)] if found.of_steps else []),
            answer["answer"],
            format_number(answer[found.unit]),
            _most(answer["moved_by"], position if found.of_steps else None),
            _most(answer["moved_by_features"]),
        ]
        for position, answer in enumerate(given)
    ]
    head = ["step", "label"] if found.of_steps else ["feature of the next step"]
    head = [*head, found.unit, "moved most by steps", "by features"]
    return aligned([head, *rows], "><><<" if found.of_steps else "<><<")
