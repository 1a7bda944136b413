"""Which studies test what a page explains."""

from gatewise.explanations.page import Page

GATED = ("memory", "gru")
SIMPLE = ("vanishing", "exploding")
TESTED_BY: dict[str, tuple[str, ...]] = {
    "bptt": ("truncation",),
    "gradients": ("vanishing", "exploding", "clipping", "initialisation", "relu", "memory"),
    "gates": (*GATED, "peepholes"),
    "bidirectional": ("bidirectional",),
    "birnn": ("bidirectional",),
    "bilstm": ("bidirectional", *GATED),
    "bigru": ("bidirectional", *GATED),
    "rnn_tanh": (*SIMPLE, "clipping", "memory"),
    "rnn_sigmoid": SIMPLE,
    "rnn_relu": (*SIMPLE, "relu", "initialisation"),
    "rnn_leaky_relu": ("exploding",),
    "lstm": (*GATED, "peepholes"),
    "gru_cho2014": GATED,
    "gru_chung2014": GATED,
    "gru_cudnn": GATED,
    "peephole_lstm": ("peepholes",),
    "peephole_lstm_full": ("peepholes",),
}
"""The words of the studies (`gatewise study list`) by topic."""


def add_studies(page: Page, topic: str) -> None:
    """Name the studies that test what the page of a topic says.

    Args:
        page: the page.
        topic: a key of `TESTED_BY`; the page of any other topic stays as it is.
    """
    if topic not in TESTED_BY:
        return
    page.section("Put to the test")
    page.say(f"gatewise study NAME measures one such statement over several seeds: {', '.join(TESTED_BY[topic])}.")
