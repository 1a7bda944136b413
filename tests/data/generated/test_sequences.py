"""What all generators share: masks, reproducibility, and messages for wrong sizes."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from gatewise.data.generated.adding import adding, adding_sum
from gatewise.data.generated.copy_memory import copy_memory
from gatewise.data.generated.counting import counting
from gatewise.data.generated.reber import continual_reber, reber
from gatewise.data.generated.sequences import Sequences
from gatewise.data.generated.temporal_order import temporal_order
from gatewise.data.generated.timing import generate_timed_spikes, measure_spike_delays

Draw = Callable[..., Sequences]
GENERATORS: list[tuple[Draw, dict[str, Any]]] = [
    (adding, {"length": 40}),
    (adding_sum, {"length": 40}),
    (copy_memory, {"gap": 7}),
    (counting, {"largest": 9}),
    (reber, {}),
    (continual_reber, {"length": 40}),
    (temporal_order, {"length": 40}),
    (measure_spike_delays, {"length": 40}),
    (generate_timed_spikes, {"length": 40}),
]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("draw", "sizes"), GENERATORS)
def test_same_seed_draws_the_same_and_the_global_generator_is_not_used(draw: Draw, sizes: dict[str, Any]) -> None:
    before = torch.get_rng_state()
    first, again, other = (draw(16, **sizes, generator=seeded(seed)) for seed in (3, 3, 4))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first.inputs, again.inputs)
    assert torch.equal(first.targets.nan_to_num(9.0), again.targets.nan_to_num(9.0))
    assert first.inputs.shape != other.inputs.shape or not torch.equal(first.inputs, other.inputs)


@pytest.mark.parametrize(("draw", "sizes"), GENERATORS)
def test_padding_is_zero_and_masked(draw: Draw, sizes: dict[str, Any]) -> None:
    drawn = draw(16, **sizes, generator=seeded())
    assert not drawn.inputs[~drawn.mask].any()
    expected = [drawn.inputs.shape[0]] * 16 if drawn.lengths is None else drawn.lengths.tolist()
    assert drawn.mask.sum(0).tolist() == expected
    assert max(expected) == drawn.inputs.shape[0]


@pytest.mark.parametrize(("draw", "sizes"), GENERATORS)
def test_sizes_are_checked(draw: Draw, sizes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="count: expected at least 1, got 0"):
        draw(0, **sizes, generator=seeded())
    for name in sizes:
        with pytest.raises(ValueError, match=f"{name}: expected at least"):
            draw(1, **{**sizes, name: 0}, generator=seeded())
        with pytest.raises(TypeError, match=f"{name}: expected a whole number, got 2.5"):
            draw(1, **{**sizes, name: 2.5}, generator=seeded())
        with pytest.raises(TypeError, match=f"{name}: expected a whole number, got True"):
            draw(1, **{**sizes, name: True}, generator=seeded())
