"""Tables that are read in parts: each row once, also where the strict reader takes over in the middle."""

import pytest

from gatewise.data import arrow_csv, arrow_json
from gatewise.data.tables import read_column_parts, read_columns
from gatewise.data.text import text_chunks

COUNT = 20_000


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(text_chunks, "__defaults__", (1 << 12,))
    for module in (arrow_csv, arrow_json):
        monkeypatch.setattr(module, "_BLOCK", 1 << 12)


def written(folder, ending, unusual):
    """A table, and what it has; a row near its end is not for Arrow's reader."""
    rows = [(f"word {number}", float(number)) for number in range(COUNT)]
    if unusual:
        rows[-5] = ('5" and', 1.5)
    path = folder / f"table.{ending}"
    with path.open("w") as file:
        if ending == "csv":
            file.write("w,n\n" + "".join(f"{word},{number}\n" for word, number in rows))
        else:
            # An object after a blank line is unusual.
            lines = [f'{{"w": "{word}", "n": {number}}}\n'.replace('5" and', '5\\" and') for word, number in rows]
            lines[-5] = "\n" * unusual + lines[-5]
            file.write("".join(lines))
    return path, rows


@pytest.mark.parametrize("unusual", [False, True])
@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_every_row_is_read_once(tmp_path, ending, unusual):
    path, rows = written(tmp_path, ending, unusual)
    parts = list(read_column_parts(path, ["w", "n"], numbers=["n"]))
    assert len(parts) > 5
    assert [row for part in parts for row in part] == rows
    assert list(read_columns(path, ["w", "n"], numbers=["n"])) == rows
    last = parts[-1]
    lines = COUNT + (ending == "csv") + (ending == "jsonl" and unusual)
    assert last.full_location(len(last) - 1) == f"{path}: line {lines}"
