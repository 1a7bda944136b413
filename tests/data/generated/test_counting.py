"""aⁿbⁿ, against all strings of the language."""

import pytest
import torch

from gatewise.data.generated.counting import counting, counting_of, first_failing


def text_of(inputs: torch.Tensor) -> str:
    return "".join("SabT"[step.index(1)] for step in inputs.tolist() if any(step))


def test_strings_and_what_may_follow() -> None:
    language = ["S" + "a" * n + "b" * n + "T" for n in range(1, 30)]
    drawn = counting_of(range(1, 12))
    for position, n in enumerate(range(1, 12)):
        text = text_of(drawn.inputs[:, position])
        assert text == "S" + "a" * n + "b" * n
        for step in range(len(text)):
            expected = {whole[step + 1] for whole in language if whole.startswith(text[: step + 1])}
            found = {"SabT"[code] for code, legal in enumerate(drawn.targets[step, position].tolist()) if legal}
            assert found == expected


def test_n_is_uniform() -> None:
    drawn = counting(6000, 6, generator=torch.Generator().manual_seed(1))
    assert drawn.lengths is not None
    ns = ((drawn.lengths - 1) // 2).tolist()
    assert set(ns) == set(range(1, 7))
    assert all(ns.count(n) / 6000 == pytest.approx(1 / 6, abs=0.025) for n in range(1, 7))


def test_first_failing_is_the_smallest_n_that_is_not_right() -> None:
    ns = [7, 3, 5]
    answers = counting_of(ns).targets.clone()
    assert first_failing(ns, answers) is None
    answers[10, 2] = answers[10, 2].flip(0)  # expects another symbol than T after a⁵b⁵
    assert first_failing(ns, answers) == 5
    answers[0, 0] = 0
    assert first_failing(ns, answers) == 5
    answers[6, 1] = 1
    assert first_failing(ns, answers) == 3


def test_messages() -> None:
    with pytest.raises(ValueError, match="ns: expected at least one n, got none"):
        counting_of([])
    with pytest.raises(ValueError, match="ns: expected at least 1, got 0"):
        counting_of([2, 0])
