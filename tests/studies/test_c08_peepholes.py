"""C8: its problems, its equal sizes, and its rule for the verdict."""

import pytest
import torch

from gatewise.layers import Recurrent
from gatewise.studies.c08_peepholes import Peepholes
from gatewise.studies.measurements import Measurements
from gatewise.studies.study import Budget, Outcome
from gatewise.studies.timing_problems import GenerateSpikes, MeasureDelays, SquareWave

CELLS = {"LSTM": "lstm", "diagonal": "peephole_lstm", "full": "peephole_lstm_full"}


def measurements(**needed: list[int]) -> Measurements:
    """Measurements in which diagonal peepholes need the given numbers of sequences, and all else needs 900 to 904."""
    study = Peepholes()
    settings = study.conditions("quick", dict.fromkeys(study.tuned("quick"), 0.01))

    def outcome(count: int) -> Outcome:
        return {"sequences_needed": count, "solved_after": count, "parameters": 9, "right_at_longer": 1.0}

    counts = {
        name: needed.get(given["task"].replace(" ", "_"), [900, 901, 902, 903, 904] * 2)
        if given["cell"] == "diagonal"
        else [900, 901, 902, 903, 904] * 2
        for name, given in settings.items()
    }
    outcomes = {name: [outcome(count) for count in of] for name, of in counts.items()}
    return Measurements("quick", settings, outcomes, range(10), dict.fromkeys(settings, 0.01))


FEWER = [500, 510, 520, 530, 540] * 2


@pytest.mark.parametrize(
    ("needed", "verdict"),
    [
        ({}, "does not hold here"),
        ({"measured_delays": FEWER}, "does not hold here"),
        ({"timed_spikes": FEWER}, "depends on the task"),
        ({"square_wave": FEWER}, "depends on the task"),
        ({"timed_spikes": FEWER, "square_wave": FEWER}, "holds"),
        ({"timed_spikes": [2000 - count for count in FEWER]}, "does not hold here"),
        ({"timed_spikes": [500, 1500] * 5}, "does not hold here"),
    ],
)
def test_verdict_follows_the_rule(needed: dict[str, list[int]], verdict: str) -> None:
    assert Peepholes().conclude(measurements(**needed)).verdict == verdict


@pytest.mark.parametrize("budget", ["quick", "full"])
def test_parameters_are_equal_within_four_per_cent(budget: Budget) -> None:
    sizes: dict[str, int] = {}
    for settings in Peepholes().tuned(budget).values():
        layer = Recurrent(CELLS[settings["cell"]], 1, settings["width"])
        # The LSTM adds two bias vectors where the others have one.
        counted = [one.numel() for name, one in layer.named_parameters() if name != "bias_hh_l0"]
        sizes[settings["cell"]] = sum(counted)
    assert all(size == pytest.approx(sizes["LSTM"], rel=0.04) for size in sizes.values())


@pytest.mark.parametrize("problem", [MeasureDelays(60), GenerateSpikes(60), SquareWave(60)])
def test_perfect_answers_are_right_and_others_have_a_finite_gradient(
    problem: MeasureDelays | GenerateSpikes | SquareWave,
) -> None:
    drawn = problem.draw(5, torch.Generator().manual_seed(1))
    perfect = drawn.targets.nan_to_num(7.0)[..., None]
    if isinstance(problem, GenerateSpikes):
        perfect = perfect * 60 - 30  # logits
    judged = problem.judge(perfect, drawn)
    assert judged.right.all()
    assert float(judged.loss) < 1e-6
    wrong = (perfect + 40 * (torch.arange(60) % 13 == 5)[:, None, None]).requires_grad_()
    judged = problem.judge(wrong, drawn)
    judged.loss.backward()
    assert wrong.grad is not None
    assert wrong.grad.isfinite().all()
    assert isinstance(problem, MeasureDelays) or not judged.right.any()


def test_measured_delays_count_at_spikes_alone() -> None:
    problem = MeasureDelays(60)
    drawn = problem.draw(4, torch.Generator().manual_seed(2))
    answer = drawn.targets.nan_to_num(7.0)[..., None].clone()
    first = int(drawn.inputs[:, 1, 0].argmax())
    answer[first, 1] += 1
    judged = problem.judge(answer, drawn)
    assert judged.right.tolist() == [True, False, True, True]
    assert float(judged.loss) == pytest.approx(1 / float(drawn.inputs.sum()))
