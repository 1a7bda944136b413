"""Every call computes with what the weights hold now, however they were written."""

import copy
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import pytest
import torch
from torch import Tensor, nn

import gatewise
from tests.agreement import assert_agrees
from tests.layers.oracle import call, check_call, copy_of, expected, states_of


def made(seed: int = 0, **options: object) -> gatewise.LSTM:
    torch.manual_seed(seed)
    return gatewise.LSTM(3, 5, **options)


def drawn(layer: nn.Module) -> list[Tensor]:
    """Other weights than a layer has."""
    return [torch.randn_like(parameter) for parameter in layer.parameters()]


@torch.no_grad()
def copied(layer: nn.Module) -> None:
    for parameter, value in zip(layer.parameters(), drawn(layer), strict=True):
        parameter.copy_(value)


def copied_through_data(layer: nn.Module) -> None:
    for parameter, value in zip(layer.parameters(), drawn(layer), strict=True):
        parameter.data.copy_(value)


def data_assigned(layer: nn.Module) -> None:
    for parameter, value in zip(layer.parameters(), drawn(layer), strict=True):
        parameter.data = value


def data_of_one_weight(layer: gatewise.LSTM) -> None:
    layer.weight_hh_l0.data.mul_(-2)


def data_of_one_bias(layer: gatewise.LSTM) -> None:
    layer.bias_ih_l0.data.add_(1)


def data_of_the_input_weights(layer: gatewise.LSTM) -> None:
    layer.weight_ih_l0.data.mul_(-2)


def averaged_through_data(layer: nn.Module) -> None:
    """Polyak averaging, as libraries for reinforcement learning write it."""
    for parameter, value in zip(layer.parameters(), drawn(layer), strict=True):
        parameter.data.mul_(0.5)
        torch.add(parameter.data, value, alpha=0.5, out=parameter.data)


def initialised_through_data(layer: nn.Module) -> None:
    for parameter in layer.parameters():
        nn.init.uniform_(parameter.data, -1, 1)


def written_through_numpy(layer: nn.Module) -> None:
    for parameter in layer.parameters():
        parameter.detach().numpy()[...] *= -0.5


def detached_in_place(layer: nn.Module) -> None:
    for parameter in layer.parameters():
        parameter.detach().mul_(-0.5)


def drawn_state(layer: nn.Module) -> dict[str, torch.Tensor]:
    """Other values of a state dict, which keeps the identity of its cell."""
    state = layer.state_dict()
    state.update(zip(state, drawn(layer), strict=True))
    return state


def loaded(layer: nn.Module) -> None:
    layer.load_state_dict(drawn_state(layer))


def loaded_by_assignment(layer: nn.Module) -> None:
    layer.load_state_dict(drawn_state(layer), assign=True)


def replaced(layer: gatewise.LSTM) -> None:
    layer.weight_hh_l0 = nn.Parameter(torch.randn(20, 5))


def moved_to_shared_memory_and_written(layer: nn.Module) -> None:
    layer.share_memory()
    copied_through_data(layer)


def through_another_precision(layer: nn.Module) -> None:
    layer.bfloat16().float()


def optimised(make: Callable[..., torch.optim.Optimizer], **options: object) -> Callable[[gatewise.LSTM], None]:
    def step(layer: gatewise.LSTM) -> None:
        optimiser = make(layer.parameters(), lr=0.1, **options)
        with torch.enable_grad():
            layer(torch.randn(4, 2, layer.input_size, dtype=layer.weight_hh_l0.dtype))[0].square().sum().backward()
        optimiser.step()

    return step


WRITES: dict[str, Callable[[gatewise.LSTM], None]] = {
    "copy_": copied,
    "data.copy_": copied_through_data,
    "data assigned": data_assigned,
    "data of one weight": data_of_one_weight,
    "data of one bias": data_of_one_bias,
    "data of the input's weights": data_of_the_input_weights,
    "averaged through data": averaged_through_data,
    "initialised through data": initialised_through_data,
    "through NumPy": written_through_numpy,
    "detached": detached_in_place,
    "load_state_dict": loaded,
    "load_state_dict by assignment": loaded_by_assignment,
    "replaced": replaced,
    "reset_parameters": lambda layer: layer.reset_parameters(),
    "share_memory": moved_to_shared_memory_and_written,
    "through bfloat16": through_another_precision,
    "SGD": optimised(torch.optim.SGD),
    "Adam": optimised(torch.optim.Adam),
    "Adam, fused": optimised(torch.optim.Adam, fused=True),
}
MODES: dict[str, Callable[[], AbstractContextManager[object]]] = {
    "training": nullcontext,
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
}
X = torch.randn(4, 2, 3, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("write", WRITES)
def test_a_sequence_after_a_write(write: str, mode: str):
    layer = made()
    with MODES[mode]():
        for _ in range(3):
            before = call(layer, X)["output"]
    for _ in range(2):
        WRITES[write](layer)
        with MODES[mode]():
            assert not torch.equal(check_call(layer, X)["output"], before)


@pytest.mark.parametrize(
    ("options", "of_call"),
    [
        ({"bidirectional": True}, {}),
        ({"num_layers": 2}, {}),
        ({"bidirectional": True, "num_layers": 2}, {"lengths": torch.tensor([4, 2])}),
        ({}, {"lengths": torch.tensor([3, 0])}),
        ({}, {"reset": torch.tensor([[False, True]] * 4)}),
    ],
)
@pytest.mark.parametrize("mode", MODES)
def test_stacks_directions_lengths_and_resets_after_a_write(
    options: dict[str, object], of_call: dict[str, Tensor], mode: str
):
    layer = made(**options)
    for _ in range(3):
        with MODES[mode]():
            check_call(layer, X, **of_call)
            call(layer, X, **of_call)
        averaged_through_data(layer)


@torch.no_grad()
def _steps(layer: gatewise.LSTM, x: Tensor, start: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    output, state = layer.step(x, start)
    return output, *states_of(state)


def check_step(layer: gatewise.LSTM, actual: tuple[Tensor, ...], x: Tensor, start: tuple[Tensor, ...]) -> None:
    """Check what came of a step."""
    names = ("output", "h", "c")
    exact = _steps(copy_of(layer, torch.float64), x.double(), tuple(state.double() for state in start))
    plain = _steps(copy_of(layer, torch.float32), x, start)
    results = [dict(zip(names, values, strict=True)) for values in (actual, exact, plain)]
    assert_agrees(*results, dtype=torch.float32)


@pytest.mark.parametrize("inference_mode", [False, True])
@pytest.mark.parametrize("write", WRITES)
def test_a_step_after_a_write(write: str, inference_mode: bool):
    layer, start = made(num_layers=2), (torch.randn(2, 1, 5), torch.randn(2, 1, 5))
    x = torch.randn(1, 3)
    with torch.inference_mode(inference_mode):
        for _ in range(3):
            _steps(layer, x, start)
    WRITES[write](layer)
    with torch.inference_mode(inference_mode):
        actual = _steps(layer, x, start)
    check_step(layer, actual, x, start)


@pytest.mark.parametrize("write", WRITES)
def test_a_stream_opened_after_a_write(write: str):
    layer, x = made(num_layers=2), torch.randn(6, 1, 3)
    for _ in range(2):
        with torch.no_grad():
            outputs = torch.stack(list(layer.stream(x)))
        exact, plain = ({"output": expected(layer, dtype, x)["output"]} for dtype in (torch.float64, torch.float32))
        assert_agrees({"output": outputs}, exact, plain, torch.float32)
        WRITES[write](layer)


@pytest.mark.parametrize("write", WRITES)
@torch.no_grad()
def test_an_open_stream_never_mixes_old_weights_with_new_ones(write: str):
    layer, x = gatewise.PeepholeLSTM(3, 5), torch.randn(9, 1, 3)
    before, stream = copy.deepcopy(layer), layer.stream(x)
    for _ in range(4):
        next(stream)
    with torch.enable_grad():
        WRITES[write](layer)
    for x_t in x[4:]:
        start = stream.state
        actual = next(stream), *stream.state
        try:
            check_step(before, actual, x_t, start)
        except AssertionError:
            check_step(layer, actual, x_t, start)


@torch.no_grad()
def test_refresh_shows_a_stream_and_a_frozen_layer_new_weights():
    layer, x = made(), torch.randn(12, 1, 3)
    stream = layer.stream(x)
    for _ in range(4):
        next(stream)
    copied_through_data(layer)
    layer.refresh()
    for x_t in x[4:]:
        start = stream.state
        check_step(layer, (next(stream), *stream.state), x_t, start)
    with layer.frozen():
        for _ in range(3):
            check_call(layer, X)
        copied_through_data(layer)
        layer.refresh()
        for _ in range(3):
            check_call(layer, X)
    copied_through_data(layer)
    check_call(layer, X)


@pytest.mark.parametrize("cell", ["lstm", "peephole_lstm", "gru_chung2014"])
@pytest.mark.parametrize("rows", [1, 8])
@torch.no_grad()
def test_a_frozen_layer_never_mixes_old_weights_with_new_ones(cell: str, rows: int):
    layer, x = gatewise.Recurrent(cell, 3, 5), torch.randn(4, rows, 3)
    with layer.frozen():
        for _ in range(3):
            before = check_call(layer, x)
        old = copy_of(layer, torch.float64), copy_of(layer, torch.float32)
        copied_through_data(layer)
        actual = call(layer, x)
        try:
            assert_agrees(actual, call(old[0], x.double()), call(old[1], x), torch.float32)
        except AssertionError:
            assert not torch.equal(actual["output"], before["output"])
            check_call(layer, x)


def test_parameters_that_are_views_of_one_vector():
    """As evolution strategies use them: `vector_to_parameters` once, then writes to the vector."""
    layer = made()
    vector = nn.utils.parameters_to_vector(layer.parameters()).detach()
    with torch.no_grad():
        for _ in range(4):
            nn.utils.vector_to_parameters(vector, layer.parameters())
            for _ in range(3):
                check_call(layer, X)
            vector += 0.3 * torch.randn_like(vector)
            check_call(layer, X)


@torch.no_grad()
def test_a_target_network_that_follows():
    online, target = made(0), made(1)
    for _ in range(6):
        for _ in range(3):
            check_call(target, X)
        for parameter, of_online in zip(target.parameters(), online.parameters(), strict=True):
            parameter.data.mul_(0.9)
            parameter.data.add_(of_online.data, alpha=0.1)
        copied(online)


def _learn(layer: nn.Module, weights: dict[str, Tensor]) -> None:
    """What a learner does in a process of its own."""
    layer.load_state_dict(weights)


def test_weights_in_shared_memory_that_another_process_writes():
    layer = made(num_layers=2)
    layer.share_memory()
    spawn = torch.multiprocessing.get_context("spawn")
    x, start = torch.randn(1, 3), (torch.randn(2, 1, 5), torch.randn(2, 1, 5))
    with torch.no_grad():
        for _ in range(3):
            call(layer, X), _steps(layer, x, start)
    weights = dict(zip(layer.state_dict(), drawn(layer), strict=True))
    learner = spawn.Process(target=_learn, args=(layer, weights))
    learner.start()
    learner.join()
    assert learner.exitcode == 0
    assert torch.equal(layer.weight_hh_l0, weights["weight_hh_l0"])
    with torch.no_grad():
        check_call(layer, X)
        check_step(layer, _steps(layer, x, start), x, start)
        outputs = {"output": torch.stack(list(layer.stream(X)))}
        exact, plain = ({"output": expected(layer, dtype, X)["output"]} for dtype in (torch.float64, torch.float32))
        assert_agrees(outputs, exact, plain, torch.float32)
