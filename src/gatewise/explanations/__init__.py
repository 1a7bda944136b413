"""The text of ``gatewise explain``: cells and topics, derived from the cells' equations where possible."""

from gatewise.explanations.topics import explain, topics

__all__ = ["explain", "topics"]
