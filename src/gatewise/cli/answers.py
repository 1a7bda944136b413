"""What the answers of a watched model rest on, on a terminal and as JSON values."""

from typing import TYPE_CHECKING, Any

from gatewise.cli.tables import aligned

if TYPE_CHECKING:
    from gatewise.tasks.inspection import Inspection
    from gatewise.tasks.sequence_to_sequence.inspection import AnswerInspection

_MOST = 3
_BAR = 20


def answers(found: "Inspection | AnswerInspection") -> list[dict[str, Any]]:
    """Each answer, its probability, and what every token adds to its log-odds.

    Of a text that answers another, the text, and for each token of it where the decoder looked.
    """
    from gatewise.tasks.inspection import Inspection

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


def answers_table(found: "Inspection | AnswerInspection") -> str:
    """A label with what every word adds to it; tags, each with the words that add or take most; or a text."""
    from gatewise.tasks.inspection import Inspection

    if not isinstance(found, Inspection):
        return _text(found)
    given = answers(found)
    return _label(given[0]) if len(given) == 1 else _tags(found.tokens, given)


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
