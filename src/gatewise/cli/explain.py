"""``gatewise explain``: the mathematics of a cell or a topic; the content of a file of word vectors."""

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from gatewise.tasks.requests import check_unused

EMBEDDING = "embedding"


def explain(
    topic: str | None = None,
    file: Path | None = None,
    *,
    latex: Annotated[bool, Parameter(negative=())] = False,
    input: int | None = None,
    hidden: int | None = None,
    steps: int | None = None,
    nearest: str | None = None,
    count: int | None = None,
    list: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Print the equations of a cell, its size and its back-propagation, or explain a topic or a file of word vectors.

    Parameters
    ----------
    topic
        A cell (lstm, gru, rnn, peephole_lstm …), a topic (bptt, gradients, gates, bidirectional …), or FILE.py:NAME
        for a user-defined cell; --list lists them. With embedding, name a file of word vectors too.
    file
        File of word2vec, GloVe or fastText (embedding).
    latex
        Print LaTeX.
    input
        Width I of the input, for the numbers of a cell (128).
    hidden
        Width H of the state, for the numbers of a cell (256).
    steps
        Steps of the unrolled network (bptt; 4).
    nearest
        List the words whose vectors are nearest to that of this word, by cosine (embedding).
    count
        Number of words to list (10).
    list
        List the cells and topics.
    """
    from gatewise import explanations

    sizes = {"input": input, "hidden": hidden, "steps": steps}
    of_embedding = {"nearest": nearest, "count": count}
    if list:
        others = {"topic": topic, "file": file, "latex": latex or None, **sizes, **of_embedding}
        check_unused(others, "--list lists all topics")
        topics = explanations.topics() | {EMBEDDING: "A file of word vectors: its content, and nearest words"}
        width = max(len(name) for name in topics)
        text = "\n".join(f"{name:<{width}}  {line}" for name, line in topics.items())
    elif topic is None:
        raise ValueError("name a cell or a topic, for example: gatewise explain lstm (or see --list)")
    elif topic == EMBEDDING:
        check_unused({"latex": latex or None, **sizes}, f"the topic is {EMBEDDING}")
        text = _embedding(file, nearest, count)
    else:
        check_unused(
            {"file": file, **of_embedding}, f"it is an option of the topic {EMBEDDING}, got the topic {topic!r}"
        )
        text = explanations.explain(topic, latex=latex, input_size=input, hidden_size=hidden, steps=steps)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        raise ValueError(
            f"this text requires UTF-8, but the output encoding is {sys.stdout.encoding}; set PYTHONIOENCODING=utf-8"
        ) from None
    print(text)


def _embedding(file: Path | None, nearest: str | None, count: int | None) -> str:
    from gatewise.embeddings import describe, nearest_words

    if file is None:
        raise ValueError(
            "name a file of word vectors, for example: gatewise explain embedding vectors.txt --nearest cat"
        )
    if nearest is None:
        check_unused({"count": count}, "it is the number of words that --nearest lists")
        return describe(file)
    found = nearest_words(file, nearest, 10 if count is None else count)
    return "\n".join(f"{cosine:.4f}  {word}" for word, cosine in found)
