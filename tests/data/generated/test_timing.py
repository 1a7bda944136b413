"""Timing tasks, against their definitions step by step."""

import math

import pytest
import torch

from gatewise.data.generated.timing import (
    delays_right,
    generate_timed_spikes,
    measure_spike_delays,
    periodic,
    spikes_right,
)


@pytest.mark.parametrize(("minimum", "largest", "length"), [(10, 2, 60), (1, 1, 20), (3, 9, 40), (5, 1, 6)])
def test_spikes_come_after_the_least_interval_and_the_delay(minimum: int, largest: int, length: int) -> None:
    sizes = {"minimum": minimum, "largest": largest}
    measured = measure_spike_delays(300, length, **sizes, generator=torch.Generator().manual_seed(1))
    generated = generate_timed_spikes(300, length, **sizes, generator=torch.Generator().manual_seed(1))
    assert torch.equal(measured.inputs[..., 0], generated.targets)
    seen: list[int] = []
    for row in range(300):
        spikes = measured.inputs[:, row, 0].tolist()
        last = -1
        for index in range(length):
            target = float(measured.targets[index, row])
            if spikes[index]:
                delay = index - last - minimum
                assert 0 <= delay <= largest
                assert target == delay
                assert generated.inputs[last + 1 : index + 1, row, 0].tolist() == pytest.approx(
                    [delay / largest] * (index - last)
                )
                seen.append(delay)
                last = index
            else:
                assert math.isnan(target)
        assert length - last - 1 < minimum + largest  # or there would have been another spike
    share = 1 / (largest + 1)
    firsts = [float(row[~row.isnan()][0]) for row in measured.targets.T]
    assert set(seen) == set(range(largest + 1))
    assert all(firsts.count(one) / 300 == pytest.approx(share, abs=5 * (share / 300) ** 0.5) for one in set(firsts))


@pytest.mark.parametrize("period", [2, 3, 10, 25])
def test_periodic_functions(period: int) -> None:
    for t in range(3 * period):
        part = (t % period) / period
        rising = part * 2 if part < 0.5 else 2 - part * 2
        expected = {
            "cosine": 0.5 * (1 - math.cos(2 * math.pi * t / period)),
            "triangle": rising,
            "square": 1.0 if 2 * (t % period) < period else 0.0,
        }
        for shape, value in expected.items():
            drawn = periodic(shape, period, 3 * period)  # pyright: ignore[reportArgumentType]
            assert float(drawn.targets[t, 0]) == pytest.approx(value, abs=1e-5)
            assert not drawn.inputs.any()


def test_criteria() -> None:
    nan = math.nan
    targets = torch.tensor([[2.0, 1.0, 0.0], [nan, nan, 1.0]])
    answers = torch.tensor([[2.4, 1.6, 0.1], [9.0, 0.0, 1.2]])
    assert delays_right(answers, targets).tolist() == [True, False, True]
    spikes = torch.tensor([[0.0, 0.0, 1.0], [1.0, 1.0, 0.0]])
    probabilities = torch.tensor([[0.4, 0.6, 0.9], [0.6, 0.9, 0.3]])
    assert spikes_right(probabilities, spikes).tolist() == [True, False, True]


def test_messages() -> None:
    generator = torch.Generator()
    with pytest.raises(ValueError, match="length: expected at least 12, got 11"):
        measure_spike_delays(1, 11, generator=generator)
    with pytest.raises(ValueError, match="minimum: expected at least 1, got 0"):
        generate_timed_spikes(1, 20, minimum=0, generator=generator)
    with pytest.raises(ValueError, match="largest: expected at least 1, got 0"):
        generate_timed_spikes(1, 20, largest=0, generator=generator)
    with pytest.raises(ValueError, match="period: expected at least 2, got 1"):
        periodic("cosine", 1, 20)
    with pytest.raises(ValueError, match="shape: expected one of cosine, triangle, square, got 'saw'"):
        periodic("saw", 10, 20)  # pyright: ignore[reportArgumentType]
