"""The options of how the text of tables is written."""

from dataclasses import dataclass
from typing import Literal

from gatewise.data.table_format import TableFormat


@dataclass(frozen=True, kw_only=True)
class TableOptions:
    """How tables of text are written."""

    separator: str | None = None
    """Separator of columns in .csv and .tsv files: one character, or tab. By default a comma, in .tsv a tab."""
    encoding: str = "utf-8"
    """Encoding of .csv, .tsv and .jsonl files, such as cp1252, latin-1 or utf-16."""
    comments: str | None = None
    """Beginning of lines of .csv and .tsv files that are comments; by default none are."""

    @property
    def table_format(self) -> TableFormat:
        """How tables are written.

        Raises:
            ValueError: when an option is something else.
        """
        return TableFormat(self.separator, ".", self.encoding, self.comments)


@dataclass(frozen=True, kw_only=True)
class NumberTableOptions(TableOptions):
    """How tables with numbers are written."""

    decimal: Literal[".", ","] = "."
    """Decimal mark of the numbers in .csv and .tsv files."""

    @property
    def table_format(self) -> TableFormat:
        return TableFormat(self.separator, self.decimal, self.encoding, self.comments)
