import pytest

import gatewise
from benchmarks.cases import CORE, Case, cases
from benchmarks.contenders import torch_nn


def test_the_core_grid_is_that_of_the_targets():
    grid = cases("core")
    assert CORE == ((1, 64, 100), (1, 256, 100), (32, 128, 100), (32, 256, 50), (64, 512, 20))
    assert len(grid) == len(set(grid)) == 3 * 2 * 5
    assert {(case.B, case.H, case.T) for case in grid} == set(CORE)
    assert {case.cell for case in grid} == {"lstm", "gru_cudnn", "rnn_tanh"}
    assert {case.mode for case in grid} == {"training", "inference"}


def test_the_full_grid_has_every_combination():
    grid = cases("full", ["lstm"], ["inference"])
    assert len(grid) == len(set(grid)) == 5 * 6 * 4
    assert Case("lstm", "inference", 256, 1024, 1024) in grid
    assert Case("lstm", "inference", 1, 32, 1) in grid


def test_the_other_grids():
    assert set(cases("ragged", ["lstm"])) == {
        Case("lstm", "training", 32, 128, 1000, ragged=True),
        Case("lstm", "inference", 32, 128, 1000, ragged=True),
    }
    assert {case.reset for case in cases("reset")} == {0.001, 0.03, 0.1}
    assert {case.cell for case in cases("variants")} == {"peephole_lstm", "gru_chung2014", "slstm"}
    assert all(case.bidirectional for case in cases("bidirectional"))
    assert {(case.B, case.H, case.T) for case in cases("bidirectional")} == set(CORE)
    streams = cases("stream")
    assert all(case.stream and case.mode == "inference" and case.B == 1 for case in streams)
    assert [str(case) for case in streams][:2] == [
        "lstm inference B=1 H=64 T=200, step by step",
        "lstm inference B=1 H=256 T=200, step by step",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("cores",), "grid: expected one of core, .*'cores'"),
        (("core", ["lstn"]), "unknown cell 'lstn'; did you mean lstm"),
        (("stream", ["lstm"], ["training"]), "mode: the grid stream is of inference alone"),
        (("variants", ["lstm"]), "cells: the grid variants compares .* not lstm"),
    ],
)
def test_what_is_no_grid_or_cell_is_reported(arguments, message):
    with pytest.raises(ValueError, match=message):
        cases(*arguments)


def test_operations_are_those_of_the_products():
    inference, training = (Case("lstm", mode, 2, 16, 5) for mode in ("inference", "training"))
    # Per step and row: four gates, each with a product with x and one with h, two operations a weight.
    assert inference.operations() == 2 * 5 * 4 * 2 * 16 * 16 * 2
    assert training.operations() == 3 * inference.operations()
    assert inference.operations(row_steps=7) == 7 * 4 * 2 * 16 * 16 * 2
    assert inference.loop_operations(row_steps=10) == inference.operations() / 2
    assert Case("lstm", "inference", 2, 16, 5, bidirectional=True).operations() == 2 * inference.operations()
    assert Case("gru_chung2014", "inference", 2, 16, 5).operations() == 3 / 4 * inference.operations()


def test_every_point_of_the_core_grid_is_compared_in_full():
    for grid in ("core", "variants", "reset"):
        assert all(case.shortened() == case for case in cases(grid))


def test_long_and_large_points_are_compared_over_fewer_steps():
    assert Case("lstm", "inference", 1, 32, 1024).shortened().T == 200
    huge = Case("lstm", "training", 256, 1024, 1024)
    assert 1 <= huge.shortened().T < 10
    assert huge.shortened().B == huge.B


def test_a_cell_that_is_not_built_in():
    from tests.user_cells import minimal_gated_unit

    first, *_ = grid = cases("core", [minimal_gated_unit, "lstm"], ["training"])
    assert [case.built_in for case in grid] == [None] * 5 + ["lstm"] * 5
    assert first.definition == minimal_gated_unit
    assert str(first) == "minimal_gated_unit training B=1 H=64 T=100"
    assert first.recurrent_blocks == 2
    # Its name alone makes it no built-in cell.
    named = gatewise.Cell.from_text(minimal_gated_unit.text.replace("minimal_gated_unit", "lstm"))
    (*_, case) = cases("core", [named])
    assert torch_nn(case) == "torch.nn has no cells of your own"
    with pytest.raises(ValueError, match=r"the grid variants compares .* not lstm"):
        cases("variants", [named])


def test_a_point_says_what_it_is():
    case = Case("lstm", "training", 1, 2, 3, bidirectional=True, ragged=True, reset=0.03)
    assert str(case) == "lstm training B=1 H=2 T=3, both directions, ragged, reset 3.0%"
