"""Tasks: data, model, loss and metrics; the functions behind the commands train, evaluate, predict and inspect."""

from gatewise.tasks.verbs import evaluate, inspect, load, predict, train

__all__ = ["evaluate", "inspect", "load", "predict", "train"]
