"""Packed weights are never those of yesterday; they are packed in every call, and inside `frozen` once."""

import copy
import threading
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef

import gatewise
from gatewise.kernels.cpu import repeated, weights
from tests.agreement import operators_only
from tests.kernels.engine import needs_engine

pytestmark = needs_engine


@pytest.fixture(autouse=True)
def no_weights_of_others() -> Iterator[None]:
    weights._cache.clear()
    yield
    assert not weights._frozen


@pytest.fixture
def packs(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """One entry for each time that weights are packed: whether for the way back. What is played packs, too."""
    monkeypatch.setattr(repeated, "passes_of", lambda *_: None)
    seen: list[bool] = []
    original = weights.pack_products

    def counted(*arguments: Any, transposed: bool) -> tuple[Tensor, ...]:
        seen.append(transposed)
        return original(*arguments, transposed=transposed)

    for name in ("forward", "backward"):
        monkeypatch.setattr(import_module(f"gatewise.kernels.cpu.{name}"), "pack_products", counted)
    return seen


def made(seed: int = 0, **options: object) -> gatewise.Recurrent:
    torch.manual_seed(seed)
    return gatewise.Recurrent("lstm", 3, 5, backend="cpu", **options)


X = torch.randn(4, 2, 3, generator=torch.Generator().manual_seed(9))


def output_of(layer: gatewise.Recurrent) -> Tensor:
    return layer(X.to(layer.weight_hh_l0.dtype))[0]


def fresh(layer: gatewise.Recurrent) -> Tensor:
    """What a layer that has never run makes of X with the same weights."""
    again = gatewise.Recurrent("lstm", 3, 5, backend="cpu", dtype=layer.weight_hh_l0.dtype)
    for name, parameter in layer.named_parameters():
        setattr(again, name, nn.Parameter(parameter.detach().clone()))
    with torch.no_grad():
        return output_of(again)


def optimised(make: Callable[..., torch.optim.Optimizer], **options: object) -> Callable[[gatewise.Recurrent], object]:
    def step(layer: gatewise.Recurrent) -> None:
        output_of(layer).square().sum().backward()
        make(layer.parameters(), lr=0.1, **options).step()

    return step


def stepped_between(layer: gatewise.Recurrent) -> None:
    """Evaluated once more between the gradient and the step."""
    output_of(layer).square().sum().backward()
    with torch.no_grad():
        output_of(layer)
    torch.optim.SGD(layer.parameters(), lr=0.1, fused=True).step()


@torch.no_grad()
def averaged(layer: gatewise.Recurrent) -> None:
    for parameter in layer.parameters():
        parameter.lerp_(torch.ones_like(parameter), 0.5)


def assigned(layer: gatewise.Recurrent) -> None:
    layer.weight_hh_l0.data = torch.ones_like(layer.weight_hh_l0)


def replaced(layer: gatewise.Recurrent) -> None:
    layer.weight_hh_l0 = nn.Parameter(torch.ones_like(layer.weight_hh_l0))


CHANGES: dict[str, Callable[[gatewise.Recurrent], object]] = {
    "SGD": optimised(torch.optim.SGD),
    "Adam": optimised(torch.optim.Adam),
    "Adam, one tensor at a time": optimised(torch.optim.Adam, foreach=False),
    "Adam, fused": optimised(torch.optim.Adam, fused=True),
    "a fused step after an evaluation": stepped_between,
    "average of weights": averaged,
    "load_state_dict": lambda layer: layer.load_state_dict(made(seed=1).state_dict()),
    "load_state_dict, assigned": lambda layer: layer.load_state_dict(made(seed=1).state_dict(), assign=True),
    "to float64": lambda layer: layer.double(),
    "through bfloat16": lambda layer: layer.bfloat16().float(),
    "data assigned": assigned,
    "parameter replaced": replaced,
    "reset_parameters": lambda layer: layer.reset_parameters(),
    "vector_to_parameters": lambda layer: nn.utils.vector_to_parameters(
        torch.ones(sum(parameter.numel() for parameter in layer.parameters())), layer.parameters()
    ),
    "shared memory": lambda layer: layer.share_memory(),
}


@pytest.mark.parametrize("inside", [False, True], ids=["", "frozen"])
@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_seen(change: str, inside: bool, packs: list[bool]):
    layer = made()
    with layer.frozen() if inside else torch.no_grad():
        before = output_of(layer)
        output_of(layer)
        assert packs == ([False] if inside else [False] * 2)
        with torch.enable_grad():
            CHANGES[change](layer)
        assert torch.equal(output_of(layer), fresh(layer))
        assert torch.equal(output_of(layer), before) == (change == "shared memory")


def test_a_copy_has_weights_of_its_own():
    layer = made()
    with torch.no_grad():
        before = output_of(layer)
        other = copy.deepcopy(layer)
        other.weight_hh_l0.zero_()
        assert torch.equal(output_of(other), fresh(other))
        assert torch.equal(output_of(layer), before)


def trained(layer: gatewise.Recurrent) -> Tensor:
    output = output_of(layer)
    output.sum().backward()
    return output.detach()


def trained_in_segments(layer: gatewise.Recurrent) -> Tensor:
    layer.checkpoint_every = 3
    return trained(layer)


def trained_through_operators(layer: gatewise.Recurrent) -> Tensor:
    with operators_only():
        return trained(layer)


@pytest.mark.parametrize("train", [trained, trained_in_segments, trained_through_operators])
def test_training_trusts_no_version(train: Callable[[gatewise.Recurrent], Tensor], packs: list[bool]):
    """Some optimisers write through .data."""
    layer = made()
    train(layer)
    packs.clear()
    first, gradient = train(layer), layer.weight_hh_l0.grad.clone()
    often = packs.copy()
    assert False in often
    assert True in often
    if train is trained_through_operators:
        with operators_only():
            output_of(layer)
    else:
        output_of(layer)
    layer.weight_hh_l0.data.mul_(0.5)
    packs.clear()
    second = train(layer)
    assert packs == often
    assert torch.equal(second, fresh(layer))
    assert not torch.equal(second, first)
    assert not torch.equal(layer.weight_hh_l0.grad, gradient)


def test_a_call_in_training_ends_what_was_kept(packs: list[bool]):
    layer = made()
    with torch.no_grad():
        output_of(layer)
    trained(layer)
    layer.weight_hh_l0.data.zero_()
    with torch.no_grad():
        assert torch.equal(output_of(layer), fresh(layer))


def test_packed_once_inside_frozen(packs: list[bool]):
    layer = made(num_layers=1, bidirectional=True)
    with torch.no_grad(), layer.frozen():
        for _ in range(3):
            output_of(layer)
        assert packs == [False, False]
        packs.clear()
        with operators_only():
            output_of(layer)
        assert packs == []
    wide = gatewise.LSTM(3, 64, backend="cpu")
    with torch.no_grad(), wide.frozen():
        for rows in (1, 8, 1, 8):  # in strips of different widths, beside each other
            wide(torch.randn(4, rows, 3))
    assert packs == [False] * 2


def test_beside_other_processes_nothing_is_kept_but_inside_frozen(packs: list[bool], monkeypatch: pytest.MonkeyPatch):
    """FSDP gathers weights into the same memory without a new version."""
    layer = made()
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    with torch.no_grad():
        output_of(layer)
        layer.weight_hh_l0.data.mul_(2)
        assert torch.equal(output_of(layer), fresh(layer))
        packs.clear()
        with layer.frozen():
            output_of(layer)
            output_of(layer)
    assert len(packs) == 1


def test_refresh_after_a_write_that_does_not_show(packs: list[bool]):
    layer, other = made(), made()
    with torch.no_grad(), layer.frozen(), other.frozen():
        output_of(layer), output_of(other)
        layer.weight_hh_l0.data.zero_()
        layer.refresh()
        packs.clear()
        assert torch.equal(output_of(layer), fresh(layer))
        packs.clear()
        output_of(other)
        assert packs == [], "another layer's weights were forgotten"


def test_frozen_packs_once_while_gradients_are_taken(packs: list[bool]):
    layer = made(num_layers=2)
    expected = trained(layer)
    with layer.frozen():
        packs.clear()
        for _ in range(3):
            assert torch.equal(trained(layer), expected)
        assert sorted(packs) == [False, False, True, True]
        layer.weight_hh_l1.data.zero_()
        layer.refresh()
        changed = trained(layer)
        assert len(packs) == 8
    assert not torch.equal(changed, expected)
    packs.clear()
    assert torch.equal(trained(layer), changed)
    assert len(packs) == 4


def test_frozen_begins_and_ends_with_nothing_kept(packs: list[bool]):
    layer = made()
    with torch.no_grad():
        output_of(layer)
        layer.weight_hh_l0.data.zero_()
        with layer.frozen():
            assert torch.equal(output_of(layer), fresh(layer))
            with layer.frozen():
                output_of(layer)
            packs.clear()
            output_of(layer)
            assert packs == [False]
        layer.weight_hh_l0.data.fill_(1)
        assert torch.equal(output_of(layer), fresh(layer))


def test_frozen_ends_with_an_error():
    layer = made()
    with pytest.raises(KeyError), layer.frozen():
        raise KeyError
    trained(layer)
    layer.weight_hh_l0.data.zero_()
    assert torch.equal(trained(layer), fresh(layer))


def test_inference_tensors_have_no_version(packs: list[bool]):
    with torch.inference_mode():
        layer = made()
        assert layer.weight_hh_l0.is_inference()
        for _ in range(2):
            output_of(layer)
        assert packs == [False] * 2
        layer.weight_hh_l0.zero_()
        assert torch.equal(output_of(layer), fresh(layer))
        packs.clear()
        with layer.frozen():
            for _ in range(3):
                came = output_of(layer)
            assert packs == [False]
            layer.weight_hh_l0.fill_(1)
            layer.refresh()
            assert not torch.equal(output_of(layer), came)
            assert torch.equal(output_of(layer), fresh(layer))


def test_weights_are_kept_in_inference_mode_too(packs: list[bool]):
    layer = made()
    with torch.inference_mode(), layer.frozen():
        for _ in range(2):
            output_of(layer)
            with operators_only():
                output_of(layer)
    assert packs == [False]


def test_what_is_kept_goes_with_frozen():
    layer = made()
    with torch.no_grad(), layer.frozen():
        output_of(layer)
        assert len(weights._cache) == 1
        layer.weight_hh_l0 = nn.Parameter(torch.zeros(20, 5))
        output_of(layer)
        assert len(weights._cache) == 1
    assert len(weights._cache) == 0
    assert not weights._frozen


def test_an_address_is_not_given_away_while_weights_of_it_are_kept():
    layer = made()
    memory = StorageWeakRef(layer.weight_hh_l0.untyped_storage())
    with torch.no_grad(), layer.frozen():
        output_of(layer)
        layer.weight_hh_l0.data = torch.zeros(0)
        assert not memory.expired()
        weights.forget([layer.weight_hh_l0])
        assert memory.expired()


def test_conversion_may_swap_parameters():
    """Which torch does only where nothing else refers to them."""
    layer = made()
    with torch.no_grad():
        output_of(layer)
        torch.__future__.set_swap_module_params_on_conversion(True)
        try:
            layer.double()
        finally:
            torch.__future__.set_swap_module_params_on_conversion(False)
        assert torch.equal(output_of(layer), fresh(layer))


def test_threads_that_share_a_layer_and_forget_its_weights():
    layer = made()
    with torch.no_grad():
        expected = output_of(layer)
    wrong: list[object] = []

    def calls() -> None:
        try:
            with torch.no_grad():
                for at in range(40):
                    if at % 5 == 0:
                        layer.refresh()
                    with layer.frozen():
                        if not torch.equal(output_of(layer), expected):
                            wrong.append(at)
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=calls) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
