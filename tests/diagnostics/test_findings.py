"""Networks with exactly one problem each, and healthy ones."""

import re
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import gatewise
from gatewise.diagnostics import Trace
from gatewise.diagnostics.advice import bias_for
from gatewise.layers import Recurrent

SEEDS = range(3)


def inputs(steps: int = 60) -> Tensor:
    return torch.randn(steps, 8, 8)


def passed(layer: nn.Module, **options: object) -> Trace:
    with gatewise.watch(layer) as trace:
        layer(inputs(), **options)[0].square().mean().backward()
    return trace


def trained(
    layer: Recurrent, *, rate: float, clip: gatewise.Clip | None = None, steps: int = 8, poison: int | None = None
) -> Trace:
    optimiser = torch.optim.Adam(layer.parameters(), lr=rate)
    with gatewise.watch(layer) as trace:
        for number in range(steps):
            x = inputs()
            if number == poison:
                x[17, 3, 2] = torch.nan
            layer(x)[0].square().mean().backward()
            if clip is not None:
                clip(layer)
            optimiser.step()
            optimiser.zero_grad()
    return trace


def with_bias(cell: str, gate: str, value: float) -> Recurrent:
    layer = Recurrent(cell, 8, 32)
    position = layer.cell.gates_of("b").index(gate)
    with torch.no_grad():
        layer.bias_ih_l0[position * 32 : (position + 1) * 32] = value
    return layer


def scaled(layer: Recurrent, name: str, factor: float) -> Recurrent:
    with torch.no_grad():
        getattr(layer, name).mul_(factor)
    return layer


def dead() -> Recurrent:
    layer = Recurrent("rnn_relu", 8, 32, init="identity")
    with torch.no_grad():
        layer.bias_ih_l0[:16] = -100
    return layer


def carried() -> Trace:
    layer = Recurrent("rnn_relu", 8, 32, init="identity")
    with gatewise.watch(layer) as trace:
        for window in gatewise.TBPTT(5, 5).windows(inputs(20)):
            window.run(layer).square().mean().backward()
    return trace


def narrowing() -> Trace:
    """Layers of which each passes on a ten-thousandth."""
    layer = Recurrent("lstm", 32, 32, 2)
    with torch.no_grad():
        layer.weight_ih_l1 *= 1e-4
    with gatewise.watch(layer) as trace:
        layer(torch.randn(60, 8, 32))[0].square().mean().backward()
    return trace


def at_the_end(layer: nn.Module, steps: int = 107, *, pooling: str = "last") -> Trace:
    """A label that is read from the end of a sequence, or from all of it."""
    with gatewise.watch(layer) as trace:
        output, _ = layer(inputs(steps))
        pooled = {"last": lambda: output[-1], "mean": lambda: output.mean(dim=0), "max": lambda: output.amax(dim=0)}
        pooled[pooling]().square().sum().backward()
    return trace


ILL: dict[str, tuple[str, Callable[[], Trace]]] = {
    "a sigmoid RNN": ("vanishing", lambda: passed(Recurrent("rnn_sigmoid", 8, 32))),
    "a tanh RNN of small weights": ("vanishing", lambda: passed(Recurrent("rnn_tanh", 8, 32, init="torch"))),
    "an LSTM that forgets": ("vanishing", lambda: passed(with_bias("lstm", "f", -1.0))),
    "layers that pass on little": ("vanishing", narrowing),
    # These gradients fall more slowly than any threshold on the rate tells, yet the sequence is longer still.
    "an LSTM with its label at the end": ("vanishing", lambda: at_the_end(Recurrent("lstm", 8, 32))),
    "a GRU with its label at the end": ("vanishing", lambda: at_the_end(Recurrent("gru_cudnn", 8, 32))),
    "layers with their label at the end": ("vanishing", lambda: at_the_end(Recurrent("lstm", 8, 32, 2, init="torch"))),
    "both directions with their label at one end": (
        "vanishing",
        lambda: at_the_end(Recurrent("lstm", 8, 32, bidirectional=True)),
    ),
    "a ReLU RNN of large weights": (
        "exploding",
        lambda: passed(scaled(Recurrent("rnn_relu", 8, 32), "weight_hh_l0", 2.0)),
    ),
    "an orthogonal leaky ReLU RNN, doubled": (
        "exploding",
        lambda: passed(scaled(Recurrent("rnn_leaky_relu", 8, 32, init="orthogonal"), "weight_hh_l0", 2.0)),
    ),
    "an LSTM whose input gate is shut": ("gate stuck closed", lambda: passed(with_bias("lstm", "i", -20.0))),
    "an LSTM whose forget gate is shut": ("gate stuck closed", lambda: passed(with_bias("lstm", "f", -20.0))),
    "an LSTM whose output gate is open": ("gate stuck open", lambda: passed(with_bias("lstm", "o", 20.0))),
    "a tanh RNN at its ends": (
        "saturated gate",
        lambda: passed(scaled(Recurrent("rnn_tanh", 8, 32), "weight_ih_l0", 100.0)),
    ),
    "a ReLU RNN with dead units": ("dead ReLU", lambda: passed(dead())),
    "windows shorter than the memory": ("short window", carried),
    "a tiny learning rate": ("weights barely move", lambda: trained(Recurrent("lstm", 8, 32), rate=1e-8)),
    "a low threshold": (
        "clipping at every step",
        lambda: trained(Recurrent("lstm", 8, 32), rate=1e-3, clip=gatewise.Clip(norm=1e-6)),
    ),
    "NaN in the data": ("not finite", lambda: trained(Recurrent("lstm", 8, 32), rate=1e-3, poison=2)),
}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("problem", ILL)
def test_one_problem_is_one_finding(problem: str, seed: int):
    torch.manual_seed(seed)
    kind, make = ILL[problem]
    diagnosis = make().diagnose()
    assert {finding.kind for finding in diagnosis} == {kind}, str(diagnosis)
    for finding in diagnosis:
        assert finding.advice
        assert finding.page.startswith("gatewise explain ")
        assert all(isinstance(number, float | int) for number in finding.numbers.values())


HEALTHY: dict[str, Callable[[], Trace]] = {
    **{
        cell: lambda cell=cell: trained(Recurrent(cell, 8, 32), rate=1e-3, clip=gatewise.Clip(norm=1.0))
        for cell in ("rnn_tanh", "lstm", "gru_cudnn", "gru_chung2014", "gru_cho2014", "peephole_lstm")
    },
    "IRNN": lambda: trained(Recurrent("rnn_relu", 8, 32, init="identity"), rate=1e-4, clip=gatewise.Clip(norm=10.0)),
    "three layers": lambda: passed(Recurrent("lstm", 8, 32, 3)),
    "both directions": lambda: passed(Recurrent("gru_cudnn", 8, 32, bidirectional=True)),
    "ragged": lambda: passed(Recurrent("lstm", 8, 32), lengths=torch.tensor([60, 50, 40, 30, 20, 10, 0, 1])),
    "resets": lambda: passed(Recurrent("lstm", 8, 32), reset=torch.rand(60, 8) < 0.02),
    "long memory": lambda: passed(with_bias("lstm", "f", 5.0)),
    "short sequences": lambda: short(),
    "chrono initialisation": lambda: at_the_end(Recurrent("lstm", 8, 32, init=gatewise.Init(chrono=107))),
    "chrono initialisation of a GRU": lambda: at_the_end(
        Recurrent("gru_chung2014", 8, 32, init=gatewise.Init(chrono=107))
    ),
    "a forget bias that suits the length": lambda: at_the_end(
        Recurrent("lstm", 8, 32, init=gatewise.Init(forget_bias=bias_for(107)))
    ),
    "a label at the end of a short sequence": lambda: at_the_end(Recurrent("lstm", 8, 32), 20),
    "a label that is read from the mean": lambda: at_the_end(Recurrent("lstm", 8, 32), pooling="mean"),
    "a label that is read from the maximum": lambda: at_the_end(Recurrent("lstm", 8, 32), pooling="max"),
    "candidates near their ends": lambda: passed(scaled(Recurrent("lstm", 8, 32), "weight_ih_l0", 5.0)),
}


def short() -> Trace:
    layer = Recurrent("rnn_tanh", 8, 32, init="torch")
    with gatewise.watch(layer) as trace:
        layer(inputs(6))[0].square().mean().backward()
    return trace


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", HEALTHY)
def test_no_false_alarm(name: str, seed: int):
    torch.manual_seed(seed)
    diagnosis = HEALTHY[name]().diagnose()
    assert not diagnosis, str(diagnosis)
    assert str(diagnosis).startswith("nothing found")


def test_label_of_a_too_long_sequence():
    """Temporal order (Hochreiter & Schmidhuber 1997) by the default settings, which stay at chance."""
    torch.manual_seed(0)
    (finding,) = at_the_end(Recurrent("lstm", 8, 32)).diagnose()
    assert re.fullmatch(
        r"losses enter at the end alone, and their gradient falls to 1 % within 2\d steps, so that 7\d% of the 107 "
        "steps get less than that",
        finding.evidence,
    )
    assert finding.numbers["length"] == 107
    assert finding.numbers["unreached"] == pytest.approx(1 - finding.numbers["steps"] / 107, abs=0.02)
    assert "--chrono 107" in finding.advice
    assert "--forget-bias 3.1), now 1.0 on average; or let losses enter at more steps" in finding.advice
    (finding,) = at_the_end(Recurrent("rnn_relu", 8, 32, init="he")).diagnose() or (None,)
    assert finding is None or "identity" in finding.advice


def test_consequences_are_listed_with_their_cause():
    torch.manual_seed(0)
    (finding,) = passed(with_bias("lstm", "f", -20.0)).diagnose()
    assert finding.consequences == ("vanishing",)
    assert str(finding).startswith("model: gate stuck closed: 100% of the units of f stay at 0 (so also: vanishing). ")
    assert "bias of the forget gate" in finding.advice


def test_first_nan():
    torch.manual_seed(0)
    (finding,) = trained(Recurrent("lstm", 8, 32, 2), rate=1e-3, poison=2).diagnose()
    assert (finding.layer, finding.numbers) == ("l0", {"step": 17, "pass": 2})
    layer = Recurrent("lstm", 8, 32, 2)
    with gatewise.watch(layer) as trace:
        output, _ = layer(inputs())
        above = torch.zeros_like(output)
        above[31, 2, 5] = torch.inf
        output.backward(above)
    (finding,) = trace.diagnose()
    assert (finding.layer, finding.numbers) == ("l1", {"step": 31, "pass": 0})
    assert finding.evidence.startswith("the first gradient that is NaN or infinite is at step 31")


def test_unchecked_items_are_reported():
    torch.manual_seed(0)
    layer = Recurrent("lstm", 8, 32)
    with gatewise.watch(layer) as trace, torch.no_grad():
        layer(inputs())
    assert trace.diagnose().unchecked == (
        "gradients between layers, and which steps losses reach: no backward pass was recorded",
        "whether weights move: no step of an optimiser was recorded",
    )


def test_nothing_recorded():
    with gatewise.watch(Recurrent("lstm", 8, 32)) as trace:
        pass
    with pytest.raises(ValueError, match="nothing was recorded: there was no call of the model inside"):
        trace.diagnose()
