"""The text of ``gatewise explain``: cells and topics, computed from the cells wherever a cell says it."""

from gatewise.explanations.topics import explain, topics

__all__ = ["explain", "topics"]
