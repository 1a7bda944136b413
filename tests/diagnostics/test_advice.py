"""Every finding has advice and a section of the documentation."""

import re
from pathlib import Path

import pytest

from gatewise.cells import names
from gatewise.diagnostics.advice import _PAGES, advice_for, page_of

DOCS = Path(__file__).parents[2]


@pytest.mark.parametrize("kind", _PAGES)
def test_its_section_is_there(kind: str):
    page, _, anchor = page_of(kind).partition("#")
    headings = re.findall(r"^## (.*)$", (DOCS / page).read_text(encoding="utf-8"), re.MULTILINE)
    assert anchor in [heading.lower().replace(" ", "-") for heading in headings]


@pytest.mark.parametrize("kind", _PAGES)
@pytest.mark.parametrize("cell", [*names(), "another"])
def test_it_says_what_to_do(kind: str, cell: str):
    for gate in ("", "f", "z", "layers"):
        assert re.fullmatch(r"[A-Z].*[^.]\.", advice_for(kind, cell, gate))


def test_it_fits_the_cell():
    assert "forget gate" in advice_for("vanishing", "peephole_lstm_full", "")
    assert "update gate" in advice_for("vanishing", "gru_cho2014", "")
    assert "1/4" in advice_for("vanishing", "rnn_sigmoid", "")
