"""The trace of a watched model: measurements, diagnosis, report."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gatewise.diagnostics.findings import Diagnosis, diagnose
from gatewise.diagnostics.measurements import Measurements
from gatewise.diagnostics.report_contents import AttentionMap, Attribution, ChangeMap, Heading, Tokens
from gatewise.writing import as_path


class Trace(Measurements):
    """The recorded passes of a watched model, created by `watch`.

    Calls of the model are grouped into passes: a pass ends with its backward pass, or, without gradients, when a layer
    is called again. If a layer was called several times in a pass, its calls are consecutive in time. Methods measure
    the last pass, or the one with ``index``: 0 for the first kept, −1 for the last.

    Attributes:
        passes: the last ``keep`` passes.
        clips: the events of gradient clipping.
    """

    def diagnose(self) -> Diagnosis:
        """Problems of the network, with evidence and advice; see `Diagnosis` and `Finding`.

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
        attributions: Sequence[Attribution] = (),
        attention: AttentionMap | None = None,
        changes: Sequence[ChangeMap] = (),
        heading: Heading | None = None,
    ) -> Path:
        """Write a self-contained HTML page with all measurements and findings.

        Args:
            path: the file.
            tokens: labels of the steps of the first batch row; by name of the recurrent module, if modules read
                different tokens.
            attributions: predictions, and the contribution of every token to each, shown as colours of the tokens.
            attention: the attention of a decoder.
            changes: attributions of numbers, one map per kind of cause.
            heading: the title and facts above the report, such as name, data and date of a run.

        Returns:
            The path.
        """
        from gatewise.diagnostics.report import write_report

        return write_report(self, as_path("path", path), tokens, attributions, attention, changes, heading)

    def plot(self, index: int = -1, *, axes: Any = None) -> Any:
        """Plot the gradient flow on matplotlib axes, by default new ones, and return them."""
        from gatewise.diagnostics.plots import plot_gradient_flow

        return plot_gradient_flow(self, index, axes)
