"""What was recorded while a model was watched, and the questions that can be asked of it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gatewise.diagnostics.findings import Diagnosis, diagnose
from gatewise.diagnostics.measurements import Measurements
from gatewise.diagnostics.report_contents import AttentionMap, ChangeMap, Heading, Tokens


class Trace(Measurements):
    """What was recorded while a model was watched; made by `watch`.

    Calls of the model are gathered into passes: a pass ends with its backward pass, or, with gradients off, when a
    layer is called again. Where a layer was called several times in a pass, its calls follow each other in time.
    Questions are about the last pass, or about ``at``: 0 for the first that was kept, −1 for the last.

    Attributes:
        passes: the last ones, as many as ``keep``.
        clips: what `gatewise.Clip` has done.
    """

    def diagnose(self) -> Diagnosis:
        """What is wrong, with evidence and advice; see `Diagnosis` and `Finding`.

        >>> import torch, gatewise
        >>> _ = torch.manual_seed(0)
        >>> layer = gatewise.RNN(3, 16, init="torch")
        >>> with gatewise.watch(layer) as trace:
        ...     layer(torch.randn(50, 8, 3))[0][-1].sum().backward()
        >>> [finding.kind for finding in trace.diagnose()]
        ['vanishing']

        Raises:
            ValueError: when nothing was recorded.
        """
        return diagnose(self)

    def report(
        self,
        path: str | Path,
        *,
        tokens: Tokens | None = None,
        moved: Sequence[tuple[str, Sequence[float]]] = (),
        attention: AttentionMap | None = None,
        changes: Sequence[ChangeMap] = (),
        heading: Heading | None = None,
    ) -> Path:
        """Write one page of HTML that shows all of it and needs nothing else.

        Arguments:
            path: of the file.
            tokens: what to write over the steps of the first batch row; by the name of a recurrent module, where each
                reads other tokens.
            moved: answers, and what every token adds to each: they are shown as colours of the tokens.
            attention: where a decoder looked.
            changes: what moved numbers, a map for each kind of cause.
            heading: the title, and what else stands above: of a run its name, data and date.

        Returns:
            The path.
        """
        from gatewise.diagnostics.report import write_report

        return write_report(self, Path(path), tokens, moved, attention, changes, heading)

    def plot(self, at: int = -1, *, axes: Any = None) -> Any:
        """Draw the gradient flow on matplotlib axes, by default new ones, which are returned."""
        from gatewise.diagnostics.plots import plot_gradient_flow

        return plot_gradient_flow(self, at, axes)
