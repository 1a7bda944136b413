"""A trained model watched while it reads a source and its own answer."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gatewise.diagnostics import Trace
from gatewise.diagnostics.report_contents import AttentionMap
from gatewise.formatting import aligned, format_number
from gatewise.models.sequence_to_sequence import SequenceToSequence
from gatewise.models.vocabulary_loss import vocabulary_loss
from gatewise.tasks.heat_map import plot_heat_map
from gatewise.tasks.inspected import MAX_LISTED, Inspected, escaped
from gatewise.tasks.inspection import Report, watched
from gatewise.tasks.sequence_to_sequence.network import make_batches
from gatewise.tasks.sequence_to_sequence.text_side import TextSide


@dataclass(frozen=True)
class AnswerInspection(Inspected):
    """A source that was read, and its target written, while the network was watched.

    Attributes:
        answer: the text.
        attention: where the decoder looked for each token; None without attention.
        plot: the file of its plot; None without attention.
        trace: what was recorded: ``.diagnose()`` has the findings.
    """

    answer: str
    attention: AttentionMap | None
    plot: Path | None
    trace: Trace

    def rows(self) -> list[dict[str, Any]]:
        """The answer, and for each of its tokens the attention to the tokens of the source."""
        return [{"prediction": self.answer, "attention": self._attention_rows()}]

    def __str__(self) -> str:
        lines = []
        for row in self._attention_rows():
            most = sorted(row["weights"], key=lambda item: -item[1])[:MAX_LISTED]
            attended = ", ".join(f"{escaped(token)} {format_number(value, 2)}" for token, value in most)
            lines.append([escaped(row["token"]), attended])
        table = aligned([["token", "most attended"], *lines], "<<") if lines else "no attention in this model"
        plotted = "" if self.plot is None else f"\nplot: {self.plot}"
        return f"prediction: {self.answer}\n{table}{plotted}"

    def _attention_rows(self) -> list[dict[str, Any]]:
        if self.attention is None:
            return []
        source, answer, weights = self.attention
        return [
            {"token": token, "weights": [[*pair] for pair in zip(source, row, strict=True)]}
            for token, row in zip(answer, weights.tolist(), strict=True)
        ]


def inspect_answer(
    model: SequenceToSequence, sides: tuple[TextSide, TextSide], source: Tensor, answer: list[int], report: Report
) -> AnswerInspection:
    """Watch one forward and backward pass over a source and the model's answer, and write a report and a plot.

    The loss is the mean over the answer's tokens, its end included, each predicted from those before.

    Args:
        model: the model, in evaluation mode.
        sides: the tokens of sources and answers.
        source: (S,) int64, with its end.
        answer: its tokens without the end.
        report: what to write; the plot is written next to it.

    Raises:
        OSError: when a file cannot be written.
    """
    target = torch.tensor([*answer, sides[1].end])
    (batch,) = make_batches([source], [target], 1)
    weights: list[Tensor | None] = []

    def loss() -> Tensor:
        features, seen = model(batch.inputs, batch.lengths)
        weights.append(seen)
        decoder = model.decoder
        return vocabulary_loss(features[:, 0], decoder.weight, decoder.b_y, target).objective / len(target)

    trace = watched(model, model, loss)
    read, written = sides[0].names(source.tolist()), sides[1].names(target.tolist())
    seen = None if weights[0] is None else AttentionMap(read, written, weights[0][:, 0].detach())
    # The decoder reads the end, then what it has written.
    tokens = {"encoder.recurrent": read, "decoder.recurrent": [written[-1], *written[:-1]]}
    report.write(trace, tokens=tokens, attention=seen)
    plot = None
    if seen is not None:
        plot = report.path.with_name(f"{report.path.stem}_attention.png")
        plot_heat_map(seen.weights.float(), written, read, plot, titles=("answer", "source"))
    return AnswerInspection(sides[1].write(answer), seen, plot, trace)
