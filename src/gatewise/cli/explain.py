"""``gatewise explain``: the mathematics of a cell or a topic."""

import sys
from typing import Annotated

from cyclopts import Parameter


def explain(
    topic: str | None = None,
    *,
    latex: Annotated[bool, Parameter(negative=())] = False,
    input: int = 128,
    hidden: int = 256,
    steps: int = 4,
    list: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Print the equations of a cell, its size and its back-propagation, or explain a topic.

    Parameters
    ----------
    topic
        A cell (lstm, gru, rnn, peephole_lstm …), a topic (bptt, gradients, gates, bidirectional …), or FILE.py:NAME
        for a cell of your own; --list lists them.
    latex
        Print LaTeX.
    input
        Width I of the input, for the numbers.
    hidden
        Width H of the state, for the numbers.
    steps
        Steps of the unrolled network (bptt).
    list
        List the cells and topics.
    """
    from gatewise import explanations

    if list:
        width = max(len(name) for name in explanations.topics())
        text = "\n".join(f"{name:<{width}}  {line}" for name, line in explanations.topics().items())
    elif topic is None:
        raise ValueError("name a cell or a topic, for example: gatewise explain lstm (or see --list)")
    else:
        text = explanations.explain(topic, latex=latex, input_size=input, hidden_size=hidden, steps=steps)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        raise ValueError(
            f"this text needs UTF-8, but the output takes {sys.stdout.encoding} only; set PYTHONIOENCODING=utf-8"
        ) from None
    print(text)
