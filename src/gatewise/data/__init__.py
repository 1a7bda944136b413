"""Text and vocabularies: reading files, the embedded default text, tokens, streams. Knows no model."""
