"""Classification: a label for a text."""
