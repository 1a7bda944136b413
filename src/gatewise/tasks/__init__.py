"""Tasks: data, model, loss and metrics tied together; what ``gatewise train``, ``evaluate`` and ``predict`` do."""

from gatewise.tasks.verbs import evaluate, load, predict, train

__all__ = ["evaluate", "load", "predict", "train"]
