"""Every cell, direction, merge, length, reset, initial state, stack, layout and precision against the transcription."""

import random

import pytest
import torch

from gatewise.cells import names
from tests.agreement import ALL_CELLS, CELLS, Case, check, possible_ways
from tests.combinations import ALL, combinations, combined
from tests.transcriptions import TRANSCRIPTIONS

RAGGED = (5, 0, 3, 1)
DIRECTIONS = [(False, "concat"), *((True, merge) for merge in ("concat", "sum", "mean", "mul", "learned", None))]


def cases() -> list[Case]:
    """Cells × directions and merges × lengths × resets; what else there is to choose is drawn for each."""
    draw = random.Random(20240607)
    found: list[Case] = []
    for index, (cell, (bidirectional, merge), lengths, reset) in enumerate(
        combined((ALL_CELLS, DIRECTIONS, (None, RAGGED), (False, True)))
    ):
        batched = lengths is not None or draw.random() < 0.7
        found.append(
            Case(
                cell,
                bidirectional=bidirectional,
                merge=merge,
                lengths=lengths,
                reset=reset,
                batch=4 if batched else 1,
                batched=batched,
                batch_first=draw.random() < 0.5,
                num_layers=draw.choice((1, 2)),
                bias=draw.random() < 0.7,
                initial=draw.random() < 0.7,
                dtype=draw.choice((torch.float64, torch.float32)),
                seed=index,
            )
        )
    return found


def test_every_built_in_cell_has_a_transcription():
    assert set(names()) == set(TRANSCRIPTIONS)


@pytest.mark.parametrize("case", cases(), ids=str)
def test_agrees_with_the_transcription(case: Case):
    # Of the ways of each backend one half, and for every other case the other.
    check(
        case,
        [
            path
            for path in possible_ways(case)
            if ALL or (bool(path.checkpoint_every) == path.through_operators) == bool(case.seed % 2)
        ],
    )


ODD_SIZES = {
    "one step": {"steps": 1},
    "one row": {"batch": 1},
    "no row": {"batch": 0},
    "no row, lengths": {"batch": 0, "lengths": (3,), "reset": True},
    "one unit": {"hidden_size": 1, "input_size": 1},
    "many units": {"hidden_size": 33, "input_size": 17, "lengths": (3, 5), "reset": True},
    "many steps": {"steps": 40, "lengths": (40, 7, 0)},
    "all empty": {"lengths": (0,)},
    "none full": {"lengths": (3, 1)},
    "all full": {"lengths": (5,)},
    "all reset": {"steps": 1, "reset": True, "seed": 3},
}


@combinations({"cell": CELLS, "bidirectional": [False, True], "size": ODD_SIZES})
def test_odd_sizes(cell: str, bidirectional: bool, size: str):
    case = Case(cell, bidirectional=bidirectional, **{"input_size": 5, **ODD_SIZES[size]})
    check(case, [path for path in possible_ways(case) if not path.through_operators])


@pytest.mark.parametrize("size", ODD_SIZES)
def test_odd_sizes_of_a_projection(size: str):
    sizes = {"hidden_size": 2, "input_size": 1} if size == "one unit" else ODD_SIZES[size]  # projected to one
    case = Case("lstm_projected_sak2014", bidirectional=True, **{"input_size": 5, **sizes})
    check(case, [path for path in possible_ways(case) if not path.through_operators])


@combinations({"cell": CELLS, "dtype": [torch.bfloat16, torch.float16], "reset": [False, True]})
def test_half_precision(cell: str, dtype: torch.dtype, reset: bool):
    # A seed whose activations keep clear of kinks, where rounding would choose another derivative.
    check(Case(cell, bidirectional=True, lengths=RAGGED, reset=reset, dtype=dtype, seed=0))
