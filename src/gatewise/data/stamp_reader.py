"""Reads the time stamps of tables, some rows at a time."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatewise.data.date_numbers import DIGIT_FORMS, DateNumbers
from gatewise.data.series_columns import Columns
from gatewise.data.series_tables import Table
from gatewise.data.table_columns import TableRows, TextColumn
from gatewise.data.time_parts import joined_parts
from gatewise.data.time_stamps import NUMBER, TimeForm
from gatewise.data.time_zones import missing_in, to_utc

STAMPS, LAST_STAMPS = "stamps", "last_stamps"
"""The names of what is read."""


class OtherFormError(Exception):
    """Time stamps are written in another form than the first of them suggest."""


class StampReader:
    """Reads the time stamps of tables, part by part.

    Args:
        names: of the columns that have them, the first ones of each part; none where rows are steps.
        columns: which column is what.
        form: how they are written; by default as they suggest.

    Attributes:
        form: the same, once a part has been read.
    """

    def __init__(self, names: Sequence[str], columns: Columns, form: TimeForm | None) -> None:
        self.names = names
        self.form = TimeForm(NUMBER)
        self._columns, self._given = columns, form
        self._title = f"column {names[0]!r}" if len(names) == 1 else f"columns {', '.join(map(repr, names))}"
        self._is_first = True
        # Of numbers, all of which may be dates: whether they are, all of them say.
        self._numbers: DateNumbers | None = None

    def texts(self, part: TableRows) -> TextColumn:
        """The time stamps of a part as text."""
        texts = [text_at(part, position) for position in range(len(self.names))]
        return texts[0] if len(texts) == 1 else joined_parts(self.names, texts, self._columns.time_format)

    def read(self, part: TableRows) -> dict[str, NDArray[Any]]:
        """The time stamps of a part, and the last ones of local times, see `Rows`; dates as int64.

        Raises:
            ValueError: for what is not a time stamp, with the location.
            OtherFormError: when all are numbers, as those before were not.
        """
        texts = self.texts(part)
        if self._is_first:
            self.form = self._form_of(texts, part)
            self._is_first = False
        if self._numbers is not None:
            self._numbers.add(texts)
            if self.form.written in DIGIT_FORMS.values():
                self.check()
        stamps = self.form.read(texts, lambda row: f"{part.full_location(row)}: {self._title}")
        if self.form.counts:
            return {STAMPS: stamps}
        if not self.form.is_local:
            return {STAMPS: stamps.astype("M8[us]").astype(np.int64)}
        assert self.form.zone is not None
        missing = missing_in(stamps, self.form.zone)
        if missing.any():
            row = int(missing.argmax())
            raise ValueError(
                f"{part.full_location(row)}: {self._title}: {texts[row]!r} does not exist in {self.form.zone}, where "
                "clocks are put forward over it; write stamps in UTC, or name the right --time-zone"
            )
        first, last = to_utc(stamps, self.form.zone)
        return {STAMPS: first.astype(np.int64), LAST_STAMPS: last.astype(np.int64)}

    def check(self) -> None:
        """Raise an OtherFormError where all numbers are not what the first ones are."""
        if self._numbers is not None and (self._numbers.form or NUMBER) != self.form.written:
            raise OtherFormError

    def _form_of(self, texts: TextColumn, part: TableRows) -> TimeForm:
        if self._given is not None:
            return self._given.like(texts[0])
        given, zone = self._columns.time_format, self._columns.time_zone
        plain, form = TimeForm.of(texts[0], given), TimeForm.of_all(texts, given, zone)
        if plain is None or form is None:
            raise ValueError(
                f"{part.full_location(0)}: {self._title}: {texts[0]!r} is not a valid time stamp; expected ISO 8601 "
                "(2020-05-31 06:00) or a number, or name the form with --time-format, such as %d/%m/%Y"
            )
        if plain.counts and given is None:
            self._numbers = DateNumbers()
        return form


class TimeTexts:
    """The time stamps of tables as texts, read whenever they are iterated over."""

    def __init__(self, tables: Sequence[Table], stamps: StampReader) -> None:
        self._tables, self._stamps = tables, stamps

    def __iter__(self) -> Iterator[str]:
        for table in self._tables:
            for part in table.parts(self._stamps.names):
                yield from self._stamps.texts(part)


def text_at(rows: TableRows, position: int) -> TextColumn:
    """A column of text of a table."""
    column = rows.columns[position]
    assert isinstance(column, TextColumn)
    return column
