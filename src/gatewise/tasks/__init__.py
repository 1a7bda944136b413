"""Tasks: data, model, loss and metrics tied together; what ``gatewise train``, ``evaluate``, ``predict`` and
``inspect`` do."""

from gatewise.tasks.verbs import evaluate, inspect, load, predict, train

__all__ = ["evaluate", "inspect", "load", "predict", "train"]
