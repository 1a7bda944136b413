"""``gatewise explain``: the mathematics of a cell or a topic; what a file of word vectors holds."""

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from gatewise.cli.refusing import refuse_unused

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
        for a cell of your own; --list lists them. With embedding, name a file of word vectors too.
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
        How many of them to list (10).
    list
        List the cells and topics.
    """
    from gatewise import explanations

    sizes = {"input": input, "hidden": hidden, "steps": steps}
    of_embedding = {"nearest": nearest, "count": count}
    if list:
        others = {"topic": topic, "file": file, "latex": latex or None, **sizes, **of_embedding}
        refuse_unused(others, "--list lists all topics")
        topics = explanations.topics() | {EMBEDDING: "A file of word vectors: what it holds, and which words are near"}
        width = max(len(name) for name in topics)
        text = "\n".join(f"{name:<{width}}  {line}" for name, line in topics.items())
    elif topic is None:
        raise ValueError("name a cell or a topic, for example: gatewise explain lstm (or see --list)")
    elif topic == EMBEDDING:
        refuse_unused({"latex": latex or None, **sizes}, f"the topic is {EMBEDDING}")
        text = _embedding(file, nearest, count)
    else:
        refuse_unused({"file": file, **of_embedding}, f"it is for the topic {EMBEDDING} alone, got the topic {topic!r}")
        text = explanations.explain(topic, latex=latex, input_size=input, hidden_size=hidden, steps=steps)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        raise ValueError(
            f"this text needs UTF-8, but the output takes {sys.stdout.encoding} only; set PYTHONIOENCODING=utf-8"
        ) from None
    print(text)


def _embedding(file: Path | None, nearest: str | None, count: int | None) -> str:
    from gatewise.embeddings import describe, nearest_words

    if file is None:
        raise ValueError(
            "name a file of word vectors, for example: gatewise explain embedding vectors.txt --nearest cat"
        )
    if nearest is None:
        refuse_unused({"count": count}, "it says how many words to list; give --nearest")
        return describe(file)
    found = nearest_words(file, nearest, 10 if count is None else count)
    return "\n".join(f"{cosine:.4f}  {word}" for word, cosine in found)
