"""The figure of a study in both formats."""

import io

from gatewise.studies.record import Record
from gatewise.studies.study import Study
from gatewise.tasks.plots import new_figure

_SIZE = (10.0, 6.0)


def draw(study: Study, record: Record) -> tuple[bytes, bytes]:
    """The figure as SVG and PNG; the same results give the same bytes."""
    import matplotlib

    figure = new_figure(*_SIZE)
    study.draw(record.measured, figure)
    svg, png = io.BytesIO(), io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": study.name, "svg.fonttype": "none"}):
        figure.savefig(svg, format="svg", metadata={"Date": None})
    figure.savefig(png, format="png", dpi=120, metadata={"Software": None})
    return svg.getvalue(), png.getvalue()
