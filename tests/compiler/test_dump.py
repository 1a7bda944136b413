"""Plans as text: complete, and in an order in which they can be computed."""

import re

import pytest

from gatewise.compiler import plan
from gatewise.compiler.dump import dump
from gatewise.equations import Cell
from tests.agreement import CELLS


@pytest.mark.parametrize("cell", CELLS.values(), ids=lambda cell: cell.name)
def test_every_value_is_computed_before_it_is_read(cell: Cell):
    made: set[str] = set()
    for line in dump(plan(cell)).splitlines():
        left, sign, right = line.strip().partition(" = ")
        if sign:
            assert set(re.findall(r"\bv\d+\b", right)) <= made, line
            # One operation a line: what it reads has been made, not written out in it.
            assert ")" not in re.sub(r"^(ln\(σ|[\w√]*)\([^()]*\)+$", "", right), line
            made.update(re.findall(r"^v\d+$", left))


@pytest.mark.parametrize("cell", CELLS.values(), ids=lambda cell: cell.name)
def test_every_state_is_written_and_its_gradient_sent(cell: Cell):
    text = dump(plan(cell))
    for state in cell.states:
        assert re.search(rf"^  ε{state}_.*t−1.* = ", text, flags=re.MULTILINE), state
    planned = plan(cell)
    lines = [line for line in text.splitlines() if line.startswith("  δ")]
    assert len(lines) == len(planned.backward.outers) + len(planned.backward.reductions) + (
        planned.backward.input is not None
    )


def test_recomputed_values_keep_their_names():
    text = dump(plan(CELLS["gru_chung2014"]))
    again = [line for line in text.splitlines() if text.count(f"{line}\n") > 1]
    assert set(again) == {"  v8 = 1 − v7", "  v12 = v11 ⊙ h_{t−1}"}
