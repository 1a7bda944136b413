"""Describing a file of word vectors."""

import os
from pathlib import Path

from gatewise.embeddings.layout import open_rows

_FIRST = 8


def describe(path: str | os.PathLike[str]) -> str:
    r"""Read a file of word vectors to its end, checking every row, and describe it in a few lines.

    Raises:
        ValueError: when a row is malformed (see `load_embedding`).
        OSError: when the file cannot be read.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "vectors.txt"
    ...     _ = file.write_text("the 0.5 1\ncat 2 -1\n")
    ...     print(describe(file))
    vectors.txt
    text without header, 2 words of 2 numbers
    the first words: the cat
    """
    rows = open_rows(path)
    count, not_utf8, first = 0, 0, list[str]()
    for row in rows:
        count += 1
        try:
            text = row.word.decode("utf-8")
        except UnicodeDecodeError:
            not_utf8 += 1
            text = row.word.decode("utf-8", "replace")
        if len(first) < _FIRST:
            first.append(text)
    header = "without" if rows.promised is None else "with"
    lines = [
        Path(path).name,
        f"{rows.kind} {header} header, {count:,} words of {rows.width:,} numbers",
        f"the first words: {' '.join(first)}",
    ]
    if not_utf8:
        lines.append(f"words that are not UTF-8, which no vocabulary has: {not_utf8:,}")
    return "\n".join(lines)
