"""Heads: what is predicted of a sequence of tokens or features, with its loss and scores."""
