import pytest

from gatewise.equations import DefinitionError, cell, sigmoid
from gatewise.equations.documentation import parse_docstring

DOC = """Leaky integrator,
    over two lines.

    More of it.

    Gates:
        f: forget gate: how much
            is kept
        i: input gate

    Notes:
        One.

        Two, with `a: b`.

    See also: lstm, `gru_cudnn`
    """


def test_sections() -> None:
    found = parse_docstring(DOC, ["i", "f"])
    assert found.summary == "Leaky integrator, over two lines."
    assert found.description == ("More of it.",)
    assert found.gates == {"f": "forget gate: how much is kept", "i": "input gate"}
    assert found.notes == ("One.", "Two, with `a: b`.")
    assert found.related == ("lstm", "gru_cudnn")


@pytest.mark.parametrize("doc", ["", "One line.", "One line.\n\nGates:\n\nNotes:\n"])
def test_missing_sections_are_empty(doc: str) -> None:
    found = parse_docstring(doc, ["f"])
    assert (found.summary, found.gates, found.notes, found.related) == (doc[:9], {}, (), ())


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("q: query gate", "names 'q', which is not a gate of the cell; its gates are f"),
        ("f", "expected 'gate: role' in the section Gates: got 'f'"),
        ("f:", "expected 'gate: role' in the section Gates: got 'f:'"),
    ],
)
def test_wrong_entries_raise_at_the_definition(entry: str, message: str) -> None:
    def leaky(x, h, /, W):
        return sigmoid(W.f @ x) * h

    leaky.__doc__ = f"Leaky integrator.\n\n    Gates:\n        {entry}\n"
    with pytest.raises(DefinitionError, match=rf"test_documentation\.py:\d+: cell leaky: .*{message}"):
        cell(leaky)


def test_indentation_is_not_part_of_the_text() -> None:
    """Python 3.13 removes it from docstrings; the canonical text is the same with every version."""

    def leaky(x, h, /, W):
        return sigmoid(W.f @ x) * h

    leaky.__doc__ = "Leaky integrator.\n\n    More of it.\n    "
    indented = cell(leaky)
    leaky.__doc__ = "Leaky integrator.\n\nMore of it.\n"
    assert cell(leaky).text == indented.text
