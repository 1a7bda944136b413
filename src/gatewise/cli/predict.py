"""``gatewise predict``: write text, list what may come next, or score every token of a text."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from gatewise.data.files import atomic_write

if TYPE_CHECKING:
    from gatewise.tasks.language_model.scores import TokenScore


def predict(
    folder: Path,
    *,
    prompt: str = "",
    length: int = 500,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int | None = None,
    next: int | None = None,
    score: Path | None = None,
    out: Path | None = None,
) -> None:
    """Write text with a trained model, token by token; or list what may come next; or score a text token by token.

    Parameters
    ----------
    folder
        Run folder of the model.
    prompt
        Text to go on from.
    length
        Number of tokens to write.
    temperature
        Below 1: more likely text; above 1: more surprising text; 0: always the most likely token.
    top_k
        Choose among so many most likely tokens only. With --score: list so many at every position (default 5).
    top_p
        Choose among the fewest most likely tokens that have this probability together.
    seed
        The same seed writes the same text.
    next
        List so many most likely next tokens (words, for a model of words) after the prompt, with probabilities.
    score
        Text file to score: JSON lines with position, token, log_probability (natural) and the top tokens.
    out
        File to write instead of the standard output.
    """
    from gatewise import tasks
    from gatewise.data.text import read_text

    if next is not None and score is not None:
        raise ValueError("--next and --score exclude each other; give one of them")
    model = tasks.load(folder)
    if next is not None:
        pieces: Iterable[str] = (f"{value:.4f}  {token!r}\n" for token, value in model.next(prompt, next))
    elif score is not None:
        pieces = _lines(model.score(read_text([score]), 5 if top_k is None else top_k))
    else:
        sampled = model.stream(prompt, length, temperature=temperature, top_k=top_k, top_p=top_p, seed=seed)
        pieces = (piece for part in ([prompt], sampled, ["\n"]) for piece in part)
    if out is not None:
        with atomic_write(out) as file:
            file.writelines(piece.encode("utf-8") for piece in pieces)
    else:
        for piece in pieces:
            print(piece, end="", flush=True)


def _lines(scores: "Iterator[TokenScore]") -> Iterator[str]:
    for score in scores:
        yield json.dumps(score._asdict(), ensure_ascii=False) + "\n"
