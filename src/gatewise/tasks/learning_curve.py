"""Plotting the learning curve of a run."""

import csv
from pathlib import Path

from gatewise.tasks.measure import Measure
from gatewise.tasks.plots import new_figure, save_figure

_POINTS = 500


def plot_learning_curve(metrics: Path, plot: Path, measure: Measure) -> None:
    """Draw the training and the held-out measure over steps, and the gradient norm below.

    Args:
        metrics: the CSV file that `MetricsFile` wrote.
        plot: the PNG file to write.
        measure: what is on the first axis.
    """
    with metrics.open(newline="") as file:
        rows = list(csv.DictReader(file))
    steps = [row for row in rows if row["loss"]]
    scores = [row for row in rows if row["held_out_loss"]]
    chunk = -(-len(steps) // _POINTS) or 1
    parts = [steps[start : start + chunk] for start in range(0, len(steps), chunk)]
    at_step = [int(part[-1]["step"]) for part in parts]

    figure = new_figure(8, 6)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    upper.plot(
        at_step, [measure.of(_mean(part, "loss"), _mean(part, measure.name)) for part in parts], label="training"
    )
    upper.plot(
        [int(row["step"]) for row in scores],
        [float(row[f"held_out_{measure.name}"]) for row in scores],
        marker="o",
        label="held out",
    )
    upper.set_ylabel(measure.title)
    if measure.name == "perplexity":
        upper.set_yscale("log")
    upper.legend()
    lower.plot(at_step, [_mean(part, "gradient_norm") for part in parts])
    lower.set_ylabel("gradient norm\nbefore clipping")
    lower.set_xlabel("step")
    for axes in (upper, lower):
        axes.grid(alpha=0.3)
    save_figure(figure, plot)


def _mean(rows: list[dict[str, str]], column: str) -> float:
    return sum(float(row[column]) for row in rows) / len(rows)
