"""Cells named ``FILE.py:NAME``."""

from pathlib import Path

import pytest

from gatewise.equations.load import is_file_reference, load_cell


def test_file_references():
    assert [
        text for text in ("a.py:b", "C:/d/a.py:b", "a.py", "a:b", "lstm", "a.py:b:c") if is_file_reference(text)
    ] == [
        "a.py:b",
        "C:/d/a.py:b",
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("def", "cannot be executed: SyntaxError: "),
        ("import no_such_module", "cannot be executed: ModuleNotFoundError: No module named 'no_such_module'"),
        ("raise ValueError('as it came')", "^as it came"),
        ("", "has no cell 'mine': it defines no cell"),
        ("from gatewise.cells import lstm", "has no cell 'mine': its cells are lstm"),
        (
            "import gatewise\n@gatewise.cell\ndef mine(x, h, /, W, s): return W @ x + h",
            r"cells\.py:2: cell mine: parameter group s is never used",
        ),
    ],
)
def test_errors_of_files(content: str, message: str, tmp_path: Path):
    file = tmp_path / "cells.py"
    file.write_text(content)
    with pytest.raises(ValueError, match=message):
        load_cell(f"{file}:mine")


def test_file_is_executed_each_time(tmp_path: Path):
    file = tmp_path / "cells.py"
    text = "import gatewise\n@gatewise.cell(cite='one')\ndef mine(x, h, /, W): return W @ x - h\n"
    file.write_text(text)
    first = load_cell(f"{file}:mine")
    file.write_text(text.replace("one", "another"))
    assert (first.cite, load_cell(f"{file}:mine").cite) == ("one", "another")
