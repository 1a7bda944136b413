"""The language model task: the next character, word or byte pair of a text."""
