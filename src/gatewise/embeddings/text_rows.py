"""Rows of text: a word and its numbers in a line, as word2vec, GloVe and fastText write them."""

from collections.abc import Iterator

import numpy as np

from gatewise.embeddings.rows import Row, Rows, quoted

LONGEST_LINE = 1 << 22
_IN_NUMBERS = b"0123456789.+-eE "
_LINE_ENDS = b" \r"  # word2vec and fastText end a line with a space


class TextRows(Rows):
    """A line for each word, its parts separated by spaces.

    Only the space separates a word from its numbers: a word may contain any other white space of Unicode. It may
    contain spaces too (GloVe's Common Crawl file has ". . ." as a word), but no further part of it can be a number,
    since that would be a line of the wrong width.
    """

    kind = "text"
    position_unit = "line"

    def __iter__(self) -> Iterator[Row]:
        width, words, blank = self.width, 0, 0
        for position, (line, ended) in enumerate(self._lines(), self._start):
            line = line.rstrip(_LINE_ENDS)
            if not line.strip():
                blank = blank or position
                continue
            if blank:
                raise self.error(blank, f"expected a word and {width} numbers, got an empty line")
            row = self._plain(line, position) or self._unusual(line, position, ended)
            words += 1
            # GloVe appends a vector for unknown words without counting it in the header.
            if self.promised is not None and words > self.promised + (row.word == b"<unk>"):
                raise self.error(
                    position, f"expected the end after the {self.promised:,} words of line 1, got {quoted(row.word)}"
                )
            yield row
        if words < (self.promised or 1):
            expected = "at least one word" if self.promised is None else f"the {self.promised:,} words of line 1"
            raise self.error(
                self._start + words,
                f"expected {expected}, got the end of the file after {words:,}; "
                "is it cut off, or the number in line 1 not right?",
            )

    def numbers(self, row: Row) -> np.ndarray:
        fields = row.numbers.split()
        try:
            # Through float64, and overflow is reported below.
            with np.errstate(over="ignore"):
                values = np.array([float(field) for field in fields]).astype(np.float32)
        except ValueError:
            raise self._no_number(row.position, row.word, fields) from None
        if not np.isfinite(values).all():
            raise self.not_finite(row, values)
        return values

    def _lines(self) -> Iterator[tuple[bytes, bool]]:
        """Each line without its end, and whether it had one."""
        rest = b""
        position = self._start
        for chunk in self._chunks:
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                yield line, True
            position += len(lines)
            if len(rest) > LONGEST_LINE:
                raise self.error(
                    position, f"expected a word and {self.width} numbers, got {len(rest):,} bytes without a line end"
                )
        if rest:
            yield rest, False

    def _plain(self, line: bytes, position: int) -> Row | None:
        """The row, if the line has the usual form; the fast path."""
        if line.count(b" ") != self.width or b"  " in line:
            return None
        word, _, numbers = line.partition(b" ")
        return None if numbers.translate(None, _IN_NUMBERS) else Row(word, numbers, position)

    def _unusual(self, line: bytes, position: int, ended: bool) -> Row:
        """The row of a line with a word of several parts, with tabs or runs of spaces; an error if it is malformed."""
        width = self.width
        word, *numbers = line.rsplit(None, width)
        row = Row(word, b" ".join(numbers), position)
        further = word.split()[1:]
        if len(numbers) < width or any(is_number(part) for part in further):
            got = len(numbers) + len(further)
            hint = "" if ended else "; the file ends within this line: is it cut off?"
            raise self.error(
                position, f"expected a word and {width} numbers, got {got} after {quoted(first_of(line))}{hint}"
            )
        if not all(is_number(field) for field in numbers):
            raise self._no_number(position, word, numbers)
        self.numbers(row)
        return row

    def _no_number(self, position: int, word: bytes, fields: list[bytes]) -> ValueError:
        index = next(index for index, field in enumerate(fields) if not is_number(field))
        return self.error(
            position,
            f"expected {self.width} numbers after {quoted(word)}, got {quoted(fields[index])} as number {index + 1}",
        )


def split_line(line: bytes) -> list[bytes]:
    r"""The fields of a line. The first, which may be empty and may contain other white space, is (part of) the word.

    >>> split_line(b"the  0.1 0.2 \r"), split_line(b" 0.1 0.2"), split_line(b"the\t0.1\t0.2")
    ([b'the', b'0.1', b'0.2'], [b'', b'0.1', b'0.2'], [b'the', b'0.1', b'0.2'])
    """
    word, *fields = line.split(b" " if b" " in line else b"\t")
    return [word, *(field for field in (field.strip() for field in fields) if field)]


def first_of(line: bytes) -> bytes:
    """The text before the first white space."""
    return (line.split(None, 1) or [b""])[0]


def is_number(field: bytes) -> bool:
    """Whether a field is a number, infinities and NaN among them.

    >>> is_number(b"-1.5e-3"), is_number(b"nan"), is_number(b"1_000"), is_number(b"...")
    (True, True, False, False)
    """
    try:
        float(field)
    except ValueError:
        return False
    return b"_" not in field
