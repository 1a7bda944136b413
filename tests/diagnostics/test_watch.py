"""Watching: what belongs together, when it is recorded, and what raises."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import gatewise
from gatewise.diagnostics.updates import MOST, Updates
from gatewise.layers import Recurrent
from tests.kernels.engine import needs_engine


def layer_of(cell: str = "lstm", **options: object) -> Recurrent:
    torch.manual_seed(0)
    return Recurrent(cell, 3, 4, dtype=torch.float64, **options)  # pyright: ignore[reportArgumentType]


def inputs(steps: int = 6, batch: int = 2, seed: int = 1) -> Tensor:
    return torch.randn(steps, batch, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def loss(output: Tensor) -> Tensor:
    return output.square().sum()


def flow(layer: Recurrent, x: Tensor) -> Tensor:
    with gatewise.watch(layer) as trace:
        loss(layer(x)[0]).backward()
    return trace.gradient_flow()["h"]


def test_a_layer_that_is_called_several_times_in_a_pass():
    layer, x = layer_of("gru_cudnn"), inputs(6)
    with gatewise.watch(layer) as trace:
        first, state = layer(x[:4])
        second, _ = layer(x[4:], state)
        loss(torch.cat([first, second])).backward()
    torch.testing.assert_close(trace.gradient_flow()["h"], flow(layer, x))
    assert trace.gates()["z"].shape == (6, 2, 4)
    assert len(trace.passes) == 1


def test_steps_of_a_stream_that_are_trained():
    layer, x = layer_of(), inputs(6)
    with gatewise.watch(layer) as trace:
        state, outputs = None, []
        for x_t in x:
            y_t, state = layer.step(x_t, state)
            outputs.append(y_t)
        loss(torch.stack(outputs)).backward()
    torch.testing.assert_close(trace.gradient_flow()["h"], flow(layer, x))


def test_calls_of_different_batches_are_joined():
    layer = layer_of()
    with gatewise.watch(layer) as trace:
        loss(torch.cat([layer(inputs(4, 2))[0].flatten(), layer(inputs(3, 5))[0].flatten()])).backward()
    parts = [flow(layer, inputs(4, 2)), flow(layer, inputs(3, 5))]
    torch.testing.assert_close(trace.gradient_flow()["h"], torch.cat(parts))
    assert trace.gates()["i"].shape == (7, 5, 4)
    assert trace.gates()["i"][:4, 2:].isnan().all()


def test_accumulated_gradients_are_passes_of_their_own():
    layer = layer_of()
    with gatewise.watch(layer, keep=3) as trace:
        for seed in range(5):
            loss(layer(inputs(seed=seed))[0]).backward()
    assert len(trace.passes) == 3
    for index, seed in enumerate((2, 3, 4)):
        torch.testing.assert_close(trace.gradient_flow(index)["h"], flow(layer, inputs(seed=seed)))
    torch.testing.assert_close(trace.gradient_flow()["h"], trace.gradient_flow(2)["h"])
    with pytest.raises(ValueError, match="index: expected a pass between -3 and 2, got 3"):
        trace.gradient_flow(3)


def test_two_losses_in_one_pass():
    layer, x = layer_of(), inputs()
    with gatewise.watch(layer) as trace:
        output, _ = layer(x)
        (output.square().sum() + output.sum()).backward()
    with gatewise.watch(layer) as other:
        loss(layer(x)[0]).backward()
    assert not torch.allclose(trace.gradient_flow()["h"], other.gradient_flow()["h"])


def test_truncated_windows_are_passes():
    layer, x = layer_of(), inputs(9)
    with gatewise.watch(layer, keep=10) as trace:
        for window in gatewise.TBPTT(3, 6).windows(x):
            loss(window.run(layer)).backward()
    assert [len(trace.gradient_flow(index)["h"]) for index in range(3)] == [3, 6, 6]


def test_without_gradients_there_are_gates_alone():
    layer, x = layer_of(), inputs()
    with gatewise.watch(layer, gates=True) as trace, torch.no_grad():
        layer(x)
    assert trace.gates()["f"].shape == (6, 2, 4)
    assert trace.saturation().keys() == {"i", "f", "g", "o"}
    with pytest.raises(ValueError, match="nothing was recorded: there was no backward pass inside"):
        trace.gradient_flow()
    with gatewise.watch(layer, gates=True) as trained:
        loss(layer(x)[0]).backward()
    for key, values in trained.gates().items():
        torch.testing.assert_close(trace.gates()[key], values)


def test_without_gradients_the_last_calls_are_kept():
    layer = layer_of()
    with gatewise.watch(layer, keep=2) as trace, torch.no_grad():
        for seed in range(4):
            layer(inputs(seed=seed))
    assert len(trace.passes) == 2
    assert torch.equal(trace.passes[-1].calls[0].x, inputs(seed=3))


def test_forward_passes_without_backward_do_not_accumulate():
    model = nn.ModuleDict({"a": layer_of(), "b": Recurrent("gru_cudnn", 4, 4, dtype=torch.float64, bidirectional=True)})

    def run(seed: int) -> Tensor:
        return model["b"](model["a"](inputs(seed=seed))[0])[0]

    with gatewise.watch(model) as trace:
        for seed in range(5):
            run(seed)  # as in a validation without torch.no_grad
        assert [call.x.shape[-1] for call in trace.passes[-1].calls] == [3, 4]
        assert torch.equal(trace.passes[-1].calls[0].x, inputs(seed=4))
        kept = [run(6), run(7)]
        assert len(trace.passes[-1].calls) == 4
        run(8)
        kept.append(run(9))
        loss(torch.cat(kept)).backward()
    assert len(trace.gradient_flow()["a.l0.h"]) == 3 * 6


def test_watches_inside_each_other():
    model = nn.ModuleDict({"a": layer_of(), "b": Recurrent("gru_cudnn", 4, 4, dtype=torch.float64)})

    def run() -> None:
        loss(model["b"](model["a"](inputs())[0])[0]).backward()

    with gatewise.watch(model) as outer:
        with gatewise.watch(model["a"], gates=True) as inner:
            run()
        one = outer.gradient_flow()["a.l0.h"]
        torch.testing.assert_close(one, inner.gradient_flow()["h"])
        run()
    assert set(outer.gradient_flow()) == {"a.l0.h", "a.l0.c", "b.l0.h"}
    with pytest.raises(
        KeyError, match=r"'h': several entries have this name; the keys are 'a.l0.h', 'a.l0.c', 'b.l0.h'"
    ):
        outer.gradient_flow()["h"]
    torch.testing.assert_close(outer.gradient_flow()["c"], outer.gradient_flow()["a.l0.c"])


def test_nothing_is_recorded_outside():
    layer = layer_of()
    with gatewise.watch(layer) as trace:
        loss(layer(inputs())[0]).backward()
    before = trace.gradient_flow()["h"].clone()
    loss(layer(inputs(9))[0]).backward()
    assert torch.equal(trace.gradient_flow()["h"], before)


def test_a_backward_pass_after_the_watch_still_fills_it():
    layer = layer_of()
    with gatewise.watch(layer) as trace:
        output, _ = layer(inputs())
    loss(output).backward()
    torch.testing.assert_close(trace.gradient_flow()["h"], flow(layer, inputs()))


@pytest.mark.parametrize("reentrant", [False, True])
def test_inside_torchs_checkpoint(reentrant: bool):
    model = nn.ModuleList([layer_of(), Recurrent("lstm", 4, 4, dtype=torch.float64)])
    x = inputs().requires_grad_()

    def run(wrap: Callable[[Recurrent, Tensor], Tensor]) -> gatewise.diagnostics.Trace:
        with gatewise.watch(model) as trace:
            loss(wrap(model[1], wrap(model[0], x))).backward()
        return trace

    plain = run(lambda layer, x: layer(x)[0])
    recomputed = run(lambda layer, x: checkpoint(lambda x: layer(x)[0], x, use_reentrant=reentrant))
    assert recomputed.gradient_flow().keys() == plain.gradient_flow().keys()
    for key, norms in plain.gradient_flow().items():
        torch.testing.assert_close(recomputed.gradient_flow()[key], norms)


@needs_engine
def test_runs_on_the_engine_and_torch_raises_with_the_reason():
    layer, x = layer_of(), inputs()
    with gatewise.watch(layer) as trace:
        assert layer.backend_for(x).name == "cpu"
        layer.backend = "torch"
        with pytest.raises(ValueError, match=r"the layer is watched, and torch's kernels do not show the gradients"):
            layer(x)
        layer.backend = "auto"
        layer(x)
    assert [call.choice.name for one in trace.passes for call in one.calls] == ["cpu"]
    layer.backend = "torch"
    layer(x)


def test_results_are_the_same_to_the_bit():
    for cell in ("lstm", "gru_chung2014"):
        layer, x = layer_of(cell, bidirectional=True, num_layers=2), inputs()
        watched = copy.deepcopy(layer)
        output, _ = layer(x)
        loss(output).backward()
        with gatewise.watch(watched, gates=True):
            other, _ = watched(x)
            loss(other).backward()
        assert torch.equal(output, other)
        for a, b in zip(layer.parameters(), watched.parameters(), strict=True):
            assert a.grad is not None
            assert b.grad is not None
            assert torch.equal(a.grad, b.grad)


@pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning")
def test_compiled_model_raises():
    layer = layer_of()
    with pytest.raises(ValueError, match=r"called inside torch.compile"), gatewise.watch(torch.compile(layer)):
        pass
    layer.compile()
    with pytest.raises(ValueError, match=r"called inside torch.compile"), gatewise.watch(layer):
        pass


def test_a_graph_that_was_compiled_before_raises_while_its_layer_is_watched():
    layer, x = layer_of(), inputs()
    compiled = torch.compile(lambda x: layer(x)[0], backend="aot_eager", fullgraph=True)
    expected = compiled(x)
    with gatewise.watch(layer), pytest.raises(ValueError, match=r"called inside torch.compile"):
        compiled(x)
    assert torch.equal(compiled(x), expected)


def test_transforms_raise():
    layer, x = layer_of(), inputs()
    with gatewise.watch(layer), pytest.raises(ValueError, match=r"torch.func transform"):
        torch.func.vmap(lambda x: layer(x)[0])(x[None])


def test_weights_of_a_pass_survive_later_updates():
    layer, x = layer_of(), inputs()
    optimiser = torch.optim.SGD(layer.parameters(), lr=10.0)
    with gatewise.watch(layer) as trace:
        loss(layer(x)[0]).backward()
        expected = {key: value.clone() for key, value in trace.gates().items()}
        optimiser.step()
        for key, value in trace.gates().items():
            assert torch.equal(value, expected[key])
        loss(layer(x)[0]).backward()
        expected = {key: value.clone() for key, value in trace.gates().items()}
    with torch.no_grad():
        layer.weight_hh_l0.zero_()
    for key, value in trace.gates().items():
        assert torch.equal(value, expected[key])


def test_weights_of_a_pass_run_by_a_closure():
    layer, x = layer_of(), inputs()
    optimiser = torch.optim.SGD(layer.parameters(), lr=10.0)
    expected: dict[str, Tensor] = {}

    def closure() -> float:
        optimiser.zero_grad()
        value = loss(layer(x)[0])
        value.backward()
        expected.update({key: gate.clone() for key, gate in trace.gates().items()})
        return float(value.detach())

    with gatewise.watch(layer) as trace:
        for _ in range(2):
            optimiser.step(closure)
            for key, value in trace.gates().items():
                assert torch.equal(value, expected[key])
    assert len(trace.updates) == 2


def test_modified_input_raises():
    layer, x = layer_of(), inputs()
    with gatewise.watch(layer) as trace, torch.no_grad():
        layer(x)
    x += 1
    with pytest.raises(ValueError, match="the input of l0 was modified in place"):
        trace.gates()


def test_updates_are_measured():
    layer, x = layer_of(), inputs()
    optimiser = torch.optim.SGD(layer.parameters(), lr=0.25)
    with gatewise.watch(layer) as trace:
        loss(layer(x)[0]).backward()
        before = {name: one.detach().clone() for name, one in layer.named_parameters()}
        optimiser.step()
    (update,) = trace.updates
    gradients = {name: one.grad for name, one in layer.named_parameters() if one.grad is not None}
    for name, ratio in update.ratios.items():
        assert ratio == pytest.approx(float(0.25 * gradients[name].norm() / before[name].norm()))
    assert update.gradient_norm == pytest.approx(float(torch.cat([one.flatten() for one in gradients.values()]).norm()))


def test_many_updates_are_sampled_evenly():
    weight = nn.Parameter(torch.zeros(1))
    optimiser = torch.optim.SGD([weight], lr=1.0)
    updates = Updates({id(weight): "weight"})
    for step in range(4 * MOST):
        weight.grad = torch.full((1,), float(step))
        updates.begin(optimiser)
        optimiser.step()
        updates.end(optimiser)
        if step + 1 == MOST:
            assert [update.gradient_norm for update in updates.all()] == list(range(MOST))
    assert [update.gradient_norm for update in updates.all()] == list(range(0, 4 * MOST, 4))
    assert updates.all()[-1].update_norms.item() == 4 * MOST - 4


def test_norms_outside_the_range_of_squares():
    layer = Recurrent("rnn_relu", 1, 4, bias=False)
    with torch.no_grad():
        layer.weight_ih_l0.fill_(1.0)
        layer.weight_hh_l0.copy_(1e-3 * torch.eye(4))
    x = torch.ones(12, 1, 1)
    with gatewise.watch(layer) as trace:
        layer(x)[0][-1].sum().backward()
    torch.testing.assert_close(trace.gradient_flow()["h"], 2 * 1e-3 ** torch.arange(11, -1, -1.0), rtol=1e-4, atol=0)
    with torch.no_grad():
        layer.weight_hh_l0.copy_(1e3 * torch.eye(4))
    with gatewise.watch(layer) as trace:
        layer(x * 1e-30)[0][-1].sum().backward()
    torch.testing.assert_close(trace.gradient_flow()["h"], 2 * 1e3 ** torch.arange(11, -1, -1.0), rtol=1e-4, atol=0)


BAD = {
    "no module": (lambda: gatewise.watch(3), TypeError, "model: expected a torch.nn.Module, got int"),
    "no layers of ours": (
        lambda: gatewise.watch(nn.LSTM(2, 2)),
        ValueError,
        "found none in LSTM; torch.nn layers",
    ),
    "keep of 0": (
        lambda: gatewise.watch(layer_of(), keep=0),
        ValueError,
        "keep: expected a number of passes of at lea",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_unwatchable_models_raise(case: str):
    make, kind, message = BAD[case]
    with pytest.raises(kind, match=message), make():
        pass


def test_an_error_inside_ends_the_watch():
    layer = layer_of()
    with pytest.raises(RuntimeError, match="mine"), gatewise.watch(layer):
        raise RuntimeError("mine")
    layer.backend = "torch"
    assert layer.backend_for(inputs()).name == "torch"


def test_numpy_and_pandas():
    layer = layer_of()
    with gatewise.watch(layer) as trace:
        loss(layer(inputs())[0]).backward()
    arrays = trace.gradient_flow().numpy()
    assert {key: value.shape for key, value in arrays.items()} == {"h": (6,), "c": (6,)}
    pandas = pytest.importorskip("pandas")
    frame = trace.gradient_flow().pandas()
    assert isinstance(frame, pandas.DataFrame)
    assert list(frame.columns) == ["h", "c"]
    assert frame.shape == (6, 2)
    assert trace.gates().pandas()["f"][2] == pytest.approx(float(trace.gates()["f"][2].mean()))


def test_single_steps_are_watched_too():
    """Single steps otherwise take a fast path that bypasses observers."""
    layer, x = gatewise.LSTM(3, 4), torch.randn(5, 2, 3)
    with torch.no_grad():
        _, state = layer(x[:4])
        for _ in range(3):
            layer.step(x[4], state)
        with gatewise.watch(layer, gates=True) as watched:
            layer.step(x[4], state)
        with gatewise.watch(layer, gates=True) as expected:
            layer(x[4:], state)
    for label, gate in expected.gates().items():
        torch.testing.assert_close(watched.gates()[label], gate)
