"""Sequence to sequence: an answer, token by token, for a text: translation, summaries, normal forms."""
