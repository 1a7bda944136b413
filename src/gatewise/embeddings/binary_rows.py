"""Rows of word2vec's binary format: a word, a space, its numbers as little-endian float32, and perhaps a line end."""

from collections.abc import Iterator

import numpy as np

from gatewise.embeddings.rows import Row, Rows, quoted

LONGEST_WORD = 1 << 16


class BinaryRows(Rows):
    """As many rows as the header promises."""

    kind = "binary"
    position_unit = "byte"

    def __iter__(self) -> Iterator[Row]:
        assert self.promised is not None
        chunks = iter(self._chunks)
        size = 4 * self.width
        held, begin, passed = b"", 0, self._start  # byte 0 of what is held is byte `passed` of the content
        for number in range(1, self.promised + 1):
            while True:
                while held.startswith(b"\n", begin):
                    begin += 1
                space = held.find(b" ", begin)
                if (space if space >= 0 else len(held)) - begin > LONGEST_WORD:
                    raise self._missing_space(passed + begin, number)
                end = space + 1 + size
                if space >= 0 and end <= len(held):
                    break
                chunk = next(chunks, b"")
                if not chunk:
                    raise self._cut_off(passed + begin, held[begin:], number)
                held, passed, begin = held[begin:] + chunk, passed + begin, 0
            row = Row(held[begin:space], held[space + 1 : end], passed + begin)
            self.numbers(row)
            yield row
            begin = end
        # One chunk more is enough to see whether something follows.
        if (held[begin:] + next(chunks, b"")).strip(b"\n"):
            raise self.error(passed + begin, f"expected the end after the {self.promised:,} words of the header")

    def numbers(self, row: Row) -> np.ndarray:
        values = np.frombuffer(row.numbers, dtype="<f4")
        if not np.isfinite(values).all():
            raise self.not_finite(row, values)
        return values

    def _missing_space(self, position: int, number: int) -> ValueError:
        return self.error(position, f"expected word {number:,} and a space, got {LONGEST_WORD:,} bytes without one")

    def _cut_off(self, position: int, rest: bytes, number: int) -> ValueError:
        word, space, numbers = rest.partition(b" ")
        got = (
            f"{len(numbers):,} of the {4 * self.width:,} bytes after {quoted(word)}" if space else "the end of the file"
        )
        return self.error(position, f"expected word {number:,} of {self.promised:,}, got {got}; is the file cut off?")
