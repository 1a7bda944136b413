"""What the answers of a watched model rest on, on a terminal and as JSON values."""

from typing import TYPE_CHECKING, Any

from gatewise.cli.tables import aligned

if TYPE_CHECKING:
    from gatewise.tasks.forecasting.inspection import ForecastInspection
    from gatewise.tasks.inspection import Inspection
    from gatewise.tasks.sequence_to_sequence.inspection import AnswerInspection

_MOST = 3
_BAR = 20


def answers(found: "Inspection | AnswerInspection | ForecastInspection") -> list[dict[str, Any]]:
    """Each answer, its probability, and what every token adds to its log-odds.

    Of a text that answers another, the text, and for each token of it where the decoder looked. Of a forecast each step
    to come, and what every value and covariate adds to it.
    """
    from gatewise.tasks.forecasting.inspection import ForecastInspection
    from gatewise.tasks.inspection import Inspection

    if isinstance(found, ForecastInspection):
        return _steps_to_come(found)
    if not isinstance(found, Inspection):
        return [{"answer": found.answer, "looked_at": _looks(found)}]
    rows = zip(found.answers, found.probabilities, found.moved.tolist(), strict=True)
    return [
        {
            "answer": answer,
            "probability": probability,
            "moved_by": [[token, value] for token, value in zip(found.tokens, values, strict=True)],
        }
        for answer, probability, values in rows
    ]


def answers_table(found: "Inspection | AnswerInspection | ForecastInspection") -> str:
    """A label with what every word adds to it; tags, each with the words that add or take most; a text; a forecast."""
    from gatewise.tasks.forecasting.inspection import ForecastInspection
    from gatewise.tasks.inspection import Inspection

    if isinstance(found, ForecastInspection):
        return _forecast(found)
    if not isinstance(found, Inspection):
        return _text(found)
    given = answers(found)
    return _label(given[0]) if len(given) == 1 else _tags(found.tokens, given)


def _steps_to_come(found: "ForecastInspection") -> list[dict[str, Any]]:
    steps = [*found.past, *found.forecast.times]
    rows: list[dict[str, Any]] = []
    for row, told in zip(found.forecast.rows(), range(len(found.moved)), strict=True):
        values = zip(steps, found.moved[told].tolist(), strict=False)
        row["moved_by"] = [[*pair] for pair in values]
        for name, changes in found.covariates.items():
            row[f"moved_by_{name}"] = [[*pair] for pair in zip(steps, changes[told].tolist(), strict=True)]
        rows.append(row)
    return rows


def _forecast(found: "ForecastInspection") -> str:
    causes = {"moved_by": "", **{f"moved_by_{name}": f"{name} " for name in found.covariates}}
    rows: list[list[str]] = []
    for row in _steps_to_come(found):
        moves = [(prefix + step, value) for key, prefix in causes.items() for step, value in row[key]]
        most = sorted(moves, key=lambda item: -abs(item[1]))[:_MOST]
        by = ", ".join(f"{step} {value:+.4g}" for step, value in most)
        rows.append([row["time"], f"{row['forecast']:.6g}", by])
    title = f"forecast of {found.forecast.series} after {found.forecast.after}"
    return f"{title}\n{aligned([['time', 'forecast', 'moved most by'], *rows], '<><')}"


def _looks(found: "AnswerInspection") -> list[dict[str, Any]]:
    if found.attention is None:
        return []
    source, answer, weights = found.attention
    rows = zip(answer, weights.tolist(), strict=True)
    return [{"token": token, "weights": [[*pair] for pair in zip(source, row, strict=True)]} for token, row in rows]


def _text(found: "AnswerInspection") -> str:
    rows = []
    for look in _looks(found):
        most = sorted(look["weights"], key=lambda item: -item[1])[:_MOST]
        rows.append([repr(look["token"])[1:-1], ", ".join(f"{repr(word)[1:-1]} {value:.2f}" for word, value in most)])
    table = aligned([["token", "looked most at"], *rows], "<<") if rows else "no attention in this model"
    picture = "" if found.picture is None else f"\npicture: {found.picture}"
    return f"answer: {found.answer}\n{table}{picture}"


def _label(answer: dict[str, Any]) -> str:
    most = max((abs(value) for _, value in answer["moved_by"]), default=0.0) or 1.0
    rows = [
        [repr(token)[1:-1], f"{value:+.3f}", ("+" if value > 0 else "-") * round(_BAR * abs(value) / most)]
        for token, value in answer["moved_by"]
    ]
    table = aligned([["token", "moves it by", ""], *rows], "<><")
    return f"answer: {answer['answer']}, probability {answer['probability']:.3f}\n{table}"


def _tags(tokens: list[str], given: list[dict[str, Any]]) -> str:
    rows = []
    for place, (token, answer) in enumerate(zip(tokens, given, strict=True)):
        values = sorted(enumerate(answer["moved_by"]), key=lambda item: -abs(item[1][1]))[:_MOST]
        by = ", ".join(f"{'itself' if at == place else repr(word)[1:-1]} {value:+.2f}" for at, (word, value) in values)
        rows.append([repr(token)[1:-1], answer["answer"], f"{answer['probability']:.3f}", by])
    return aligned([["token", "tag", "probability", "moved most by"], *rows], "<<><")
