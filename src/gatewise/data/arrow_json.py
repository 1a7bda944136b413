"""JSON lines through Arrow, block by block, where columns hold nothing but texts, or nothing but numbers.

Arrow's reader gives no lines, cannot distinguish a null member from a missing one, and does not mind several
objects on a line, or one on several. All that is left to `gatewise.data.json_lines`, and so are columns that hold
values of several types. Members that are not asked for are ignored: to infer their types, Arrow recurses into nested
ones until the stack overflows.
"""

import io
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING

from gatewise.data.arrow_compute import has_nul
from gatewise.data.table_text import TableText
from gatewise.data.utf8_stream import UnusualTableError, Utf8Stream

if TYPE_CHECKING:
    import pyarrow

_BLOCK = 1 << 21
_JOINTS = (b"}\n{", b"}\r\n{")


def arrow_members(
    table: TableText, names: Sequence[str], numbers: Collection[str], *, blanks: bool
) -> Iterator[list["pyarrow.Array"]]:
    """Some members of the objects of a table, as texts or as numbers, some rows at a time.

    Args:
        table: the table.
        names: of the members.
        numbers: those that are numbers.
        blanks: whether members may be missing; they are null then.

    Raises:
        UnusualTableError: when it is for the strict reader; blocks before may have been given.
        ValueError, OSError: as the text of the table.
    """
    import pyarrow
    from pyarrow import json

    schema = pyarrow.schema({name: pyarrow.float64() if name in numbers else pyarrow.string() for name in names})
    lines = _Lines()
    rows = 0
    try:
        reader = json.open_json(
            io.BufferedReader(Utf8Stream(table.chunks(), lines.check), _BLOCK),
            json.ReadOptions(block_size=_BLOCK, use_threads=False),
            json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore"),
        )
        for batch in reader:
            for cells in batch.columns:
                if cells.null_count and not blanks:
                    raise UnusualTableError
                if cells.type == pyarrow.string() and has_nul(cells):
                    raise UnusualTableError
            rows += batch.num_rows
            yield [batch.column(name) for name in names]
    except pyarrow.ArrowException:
        raise UnusualTableError from None
    if rows != lines.count:
        raise UnusualTableError


class _Lines:
    """Checks that each line begins and ends as an object does, so that there is none that goes over several.

    Attributes:
        count: the number of lines, after the last part.
    """

    def __init__(self) -> None:
        self.count = 0
        self._ends = self._joints = 0
        self._tail = b""

    def check(self, content: bytes, last: bool) -> None:
        """Check the next part of a text.

        Raises:
            UnusualTableError: for a line that does not.
        """
        if not self._tail and content and not content.startswith(b"{"):
            raise UnusualTableError
        data = self._tail + content
        self._joints += sum(data.count(joint) - self._tail.count(joint) for joint in _JOINTS)
        self._ends += content.count(b"\n")
        self._tail = data[-3:]
        if last:
            self.count = self._joints + 1
            if self._ends - self._tail.endswith(b"\n") != self._joints:
                raise UnusualTableError
