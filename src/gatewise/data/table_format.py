"""How the text of a table is written where its file does not say so: separator, decimal mark, encoding, comments."""

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gatewise.data.files import opened
from gatewise.data.table_text import TableText
from gatewise.data.text import CHUNK, NotUtf8Error, text_chunks


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
            b"ab".decode(self.encoding, "ignore")  # a codec of text, and known
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

    def text(self, path: Path) -> TableText:
        """The text of a file, which is read part by part."""
        return TableText.of_file(path, lambda: self._chunks(path))

    def read(self, path: Path) -> str:
        """The whole text of a file.

        Raises:
            ValueError: when it has another encoding; with the location.
            OSError: when it cannot be read.
        """
        return "".join(self._chunks(path))

    def _chunks(self, path: Path) -> Iterator[str]:
        if codecs.lookup(self.encoding).name != "utf-8":
            yield from _decoded(path, self.encoding)
            return
        try:
            yield from text_chunks(path, may_be_empty=True)
        except NotUtf8Error as error:
            raise ValueError(f"{error}; or name its encoding with --encoding") from None


def _decoded(path: Path, encoding: str) -> Iterator[str]:
    """The text of a file in any encoding but UTF-8, part by part."""
    decoder = codecs.getincrementaldecoder(encoding)()
    line = 1
    with opened(path) as file:
        while True:
            content = file.read(CHUNK)
            before = decoder.getstate()
            try:
                text = decoder.decode(content, final=not content)
            except UnicodeError as error:
                decoder.setstate(before)
                good = error.start - len(before[0]) if isinstance(error, UnicodeDecodeError) else 0
                line += decoder.decode(content[: max(0, good)]).count("\n")
                raise ValueError(
                    f"{path}: line {line}: not {encoding}: {error}; name its encoding with --encoding"
                ) from None
            if "\0" in text:
                line += text.count("\n", 0, text.index("\0"))
                raise ValueError(
                    f"{path}: line {line}: a NUL character, which text does not have; remove it, or name another "
                    "encoding with --encoding"
                )
            line += text.count("\n")
            if text:
                yield text
            if not content:
                return


PLAIN = TableFormat()
"""Files as they are usually written."""
