"""``gatewise explain``: the mathematics of a cell or a topic; what a file of word vectors holds."""

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

EMBEDDING = "embedding"


def explain(
    topic: str | None = None,
    file: Path | None = None,
    *,
    latex: Annotated[bool, Parameter(negative=())] = False,
    input: int = 128,
    hidden: int = 256,
    steps: int = 4,
    nearest: str | None = None,
    count: int = 10,
    list: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Print the equations of a cell, its size and its back-propagation, or explain a topic or a file of word vectors.

    Parameters
    ----------
    topic
        A cell (lstm, gru, rnn, peephole_lstm …), a topic (bptt, gradients, gates, bidirectional …), or FILE.py:NAME
        for a cell of your own; --list lists them. With embedding, name a file of word vectors too.
    file
        File of word2vec, GloVe or fastText (embedding).
    latex
        Print LaTeX.
    input
        Width I of the input, for the numbers.
    hidden
        Width H of the state, for the numbers.
    steps
        Steps of the unrolled network (bptt).
    nearest
        List the words whose vectors are nearest to that of this word, by cosine (embedding).
    count
        How many of them to list.
    list
        List the cells and topics.
    """
    from gatewise import explanations

    if list:
        topics = explanations.topics() | {EMBEDDING: "A file of word vectors: what it holds, and which words are near"}
        width = max(len(name) for name in topics)
        text = "\n".join(f"{name:<{width}}  {line}" for name, line in topics.items())
    elif topic is None:
        raise ValueError("name a cell or a topic, for example: gatewise explain lstm (or see --list)")
    elif topic == EMBEDDING:
        text = _embedding(file, nearest, count)
    elif file is not None or nearest is not None:
        given = "--nearest" if file is None else f"the file {str(file)!r}"
        raise ValueError(f"{given} is for the topic {EMBEDDING} alone, got the topic {topic!r}")
    else:
        text = explanations.explain(topic, latex=latex, input_size=input, hidden_size=hidden, steps=steps)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        raise ValueError(
            f"this text needs UTF-8, but the output takes {sys.stdout.encoding} only; set PYTHONIOENCODING=utf-8"
        ) from None
    print(text)


def _embedding(file: Path | None, nearest: str | None, count: int) -> str:
    from gatewise.embeddings import describe, nearest_words

    if file is None:
        raise ValueError(
            "name a file of word vectors, for example: gatewise explain embedding vectors.txt --nearest cat"
        )
    if nearest is None:
        return describe(file)
    return "\n".join(f"{cosine:.4f}  {word}" for word, cosine in nearest_words(file, nearest, count))
