"""What the answers of a watched classifier or tagger rest on, on a terminal and as JSON values."""

from typing import TYPE_CHECKING, Any

from gatewise.cli.tables import aligned

if TYPE_CHECKING:
    from gatewise.tasks.inspection import Inspection

_MOST = 3
_BAR = 20


def answers(found: "Inspection") -> list[dict[str, Any]]:
    """Each answer, its probability, and what every token adds to its log-odds."""
    rows = zip(found.answers, found.probabilities, found.moved.tolist(), strict=True)
    return [
        {
            "answer": answer,
            "probability": probability,
            "moved_by": [[token, value] for token, value in zip(found.tokens, values, strict=True)],
        }
        for answer, probability, values in rows
    ]


def answers_table(found: "Inspection") -> str:
    """A label with what every word adds to it; or tags, each with the words that add or take most."""
    given = answers(found)
    return _label(given[0]) if len(given) == 1 else _tags(found.tokens, given)


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
