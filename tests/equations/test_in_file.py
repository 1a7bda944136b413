"""Cells named ``FILE.py:NAME``."""

from pathlib import Path

import pytest

from gatewise.equations.in_file import cell_in_file, names_file


def test_what_names_a_file():
    assert [text for text in ("a.py:b", "C:/d/a.py:b", "a.py", "a:b", "lstm", "a.py:b:c") if names_file(text)] == [
        "a.py:b",
        "C:/d/a.py:b",
    ]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("def", "cannot be run: SyntaxError: "),
        ("import no_such_module", "cannot be run: ModuleNotFoundError: No module named 'no_such_module'"),
        ("raise ValueError('as it came')", "^as it came"),
        ("", "has no cell 'mine': it defines no cell"),
        ("from gatewise.cells import lstm", "has no cell 'mine': its cells are lstm"),
        (
            "import gatewise\n@gatewise.cell\ndef mine(x, h, /, W, s): return W @ x + h",
            r"cells\.py:2: cell mine: parameter group s is never used",
        ),
    ],
)
def test_what_is_wrong_with_a_file_is_told(content: str, told: str, tmp_path: Path):
    file = tmp_path / "cells.py"
    file.write_text(content)
    with pytest.raises(ValueError, match=told):
        cell_in_file(f"{file}:mine")


def test_a_file_is_run_each_time(tmp_path: Path):
    file = tmp_path / "cells.py"
    text = "import gatewise\n@gatewise.cell(cite='one')\ndef mine(x, h, /, W): return W @ x - h\n"
    file.write_text(text)
    first = cell_in_file(f"{file}:mine")
    file.write_text(text.replace("one", "another"))
    assert (first.cite, cell_in_file(f"{file}:mine").cite) == ("one", "another")
