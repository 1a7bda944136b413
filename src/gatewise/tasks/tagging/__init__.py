"""Tagging: a tag for every word, or character, of a text."""
