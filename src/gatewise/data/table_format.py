"""How the text of a table is written where its file does not say so: separator, decimal mark, encoding, comments."""

import codecs
from dataclasses import dataclass
from pathlib import Path

from gatewise.data.files import read_bytes
from gatewise.data.text import decoded


@dataclass(frozen=True)
class TableFormat:
    """How CSV and TSV are written; JSON lines have an encoding only, and other files none of it.

    Args:
        separator: what separates columns, one character or "tab"; by default a comma, and a tab in ``.tsv``.
        decimal: the decimal mark of numbers, "." or ",".
        encoding: as Python names it.
        comments: what lines begin with that are comments, None where none are.

    Raises:
        ValueError: when one is something else.
    """

    separator: str | None = None
    decimal: str = "."
    encoding: str = "utf-8"
    comments: str | None = None

    def __post_init__(self) -> None:
        if self.separator is not None and (len(self.mark(".csv")) != 1 or self.separator in '"\r\n'):
            raise ValueError(f"separator: expected one character, or tab, got {self.separator!r}")
        if self.comments == "":
            raise ValueError("comments: expected what comment lines begin with, such as '#', got an empty text")
        if self.decimal == self.mark(".csv") == self.separator:
            raise ValueError(f"decimal: {self.decimal!r} is the separator of columns too; expected another mark")
        try:
            codecs.lookup(self.encoding)
        except LookupError:
            raise ValueError(
                f"encoding: expected one that Python knows, such as utf-16, cp1252 or latin-1, got {self.encoding!r}"
            ) from None

    def mark(self, kind: str) -> str:
        r"""What separates the columns of ".csv" or ".tsv".

        >>> TableFormat().mark(".tsv"), TableFormat("tab").mark(".csv"), TableFormat(";").mark(".csv")
        ('\t', '\t', ';')
        """
        if self.separator is None:
            return {".csv": ",", ".tsv": "\t"}[kind]
        return "\t" if self.separator == "tab" else self.separator

    def read(self, path: Path) -> str:
        """The text of a file.

        Raises:
            ValueError: when it has another encoding; with the place.
            OSError: when it cannot be read.
        """
        content = read_bytes(path)
        if codecs.lookup(self.encoding).name == "utf-8":
            try:
                return decoded(path, content)
            except ValueError as error:
                raise ValueError(f"{error}; or name its encoding with --encoding") from None
        try:
            text = content.decode(self.encoding)
        except UnicodeError as error:
            raise ValueError(f"{path}: not {self.encoding}: {error}; name its encoding with --encoding") from None
        return decoded(path, text.encode())


PLAIN = TableFormat()
"""Files as they are usually written."""
