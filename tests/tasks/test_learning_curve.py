"""The plot of a run: what is drawn from its metrics."""

import pytest

from gatewise.tasks import learning_curve
from gatewise.tasks.measure import Measure


@pytest.fixture
def figure_of(tmp_path, monkeypatch, rendered):
    """The figure of some losses, with a held-out score of half the last loss at the end."""

    def composed(losses, measure):
        rows = [f"step,loss,{measure.name},gradient_norm,held_out_loss,held_out_{measure.name}"]
        rows += [f"{step},{loss},{loss},{2 * loss},," for step, loss in enumerate(losses, 1)]
        rows.append(f"{len(losses)},,,,{losses[-1] / 2},{losses[-1] / 2}")
        (tmp_path / "metrics.csv").write_text("\n".join(rows) + "\n")
        figures = []
        monkeypatch.setattr(learning_curve, "save_figure", lambda figure, path: figures.append(figure))
        learning_curve.plot_learning_curve(tmp_path / "metrics.csv", tmp_path / "plot.png", measure)
        (figure,) = figures
        return figure

    return composed


def lines(axes):
    return [(line.get_xdata().tolist(), line.get_ydata().tolist()) for line in axes.get_lines()]


def test_training_held_out_and_gradient_norm_by_step(figure_of):
    upper, lower = figure_of([4.0, 3.0, 2.0], Measure("accuracy", "words")).axes
    assert lines(upper) == [([1, 2, 3], [4.0, 3.0, 2.0]), ([3], [1.0])]
    assert lines(lower) == [([1, 2, 3], [8.0, 6.0, 4.0])]
    assert [text.get_text() for text in upper.get_legend().get_texts()] == ["training", "held out"]
    assert upper.get_yscale() == "linear"
    assert lower.get_xlabel() == "step"


def test_perplexities_are_drawn_on_a_logarithmic_scale(figure_of):
    upper, lower = figure_of([4.0, 3.0], Measure("perplexity", "words")).axes
    assert (upper.get_yscale(), lower.get_yscale()) == ("log", "linear")


def test_many_steps_are_averaged(figure_of):
    upper, _ = figure_of([float(step) for step in range(1, 1002)], Measure("accuracy", "words")).axes
    steps, losses = lines(upper)[0]
    assert steps[:2] == [3, 6]
    assert losses[:2] == [2.0, 5.0]
    assert (steps[-1], losses[-1]) == (1001, 1000.5)  # the last point has fewer
    assert len(steps) == 334
