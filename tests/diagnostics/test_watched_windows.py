"""Windows of truncated back-propagation while they are watched, against autograd on the unrolled transcriptions."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import gatewise
from gatewise.layers.truncated import Window
from tests.agreement import ALL_TRANSCRIPTIONS, CELLS
from tests.combinations import examples
from tests.diagnostics.unrolled import retaining
from tests.transcriptions import State, Transcription, run_layers


def by_hand(
    cell: str, layer: gatewise.Recurrent, window: Window, x: Tensor, ends: Tensor, flags: Tensor
) -> tuple[Tensor, Tensor]:
    """The states after each step of a window of one layer, and their gradients, (S, T, B, H); 0 in padding."""
    parameters = {name: one.detach().requires_grad_() for name, one in layer.named_parameters()}
    made: list[State] = []

    def run(begin: int, end: int, state: list[Tensor], transcription: Transcription) -> tuple[Tensor, list[Tensor]]:
        lengths = (ends - begin).clamp(0, end - begin).tolist()
        return run_layers(transcription, parameters, x[begin:end], state, lengths=lengths, reset=flags[begin:end])

    state = [x.new_zeros(1, x.shape[1], layer.hidden_size) for _ in layer.cell.states]
    if window.begin:
        with torch.no_grad():
            _, state = run(0, window.begin, state, ALL_TRANSCRIPTIONS[cell])
    state = [one.detach().requires_grad_() for one in state]
    output, _ = run(window.begin, window.end, state, retaining(ALL_TRANSCRIPTIONS[cell], made))
    valid = torch.arange(window.begin, window.end)[:, None] < ends
    loss = torch.where(valid[..., None], output * x[window.begin : window.end, :, :1] + output.square(), 0.0)
    loss = loss[window.fresh - window.begin :].sum()
    if loss.requires_grad:  # not where all is padding
        loss.backward()
    values, gradients = torch.zeros(2, len(state), *valid.shape, layer.hidden_size, dtype=x.dtype)
    in_order = iter(made)
    for b in range(x.shape[1]):
        for t in range(int(valid[:, b].sum())):
            for index, part in enumerate(next(in_order)):
                values[index, t, b] = part.detach()
                if part.grad is not None:
                    gradients[index, t, b] = part.grad
    return values, gradients


@st.composite
def cases(draw: st.DrawFn) -> tuple[str, int, int, int, int, list[int] | None, bool, bool, int]:
    steps, batch = draw(st.integers(1, 9)), draw(st.integers(1, 3))
    k1 = draw(st.integers(1, 5))
    return (
        draw(st.sampled_from(sorted(CELLS))),
        steps,
        batch,
        k1,
        draw(st.integers(k1, 8)),
        draw(st.none() | st.lists(st.integers(0, steps), min_size=batch, max_size=batch)),
        draw(st.booleans()),
        draw(st.booleans()),
        draw(st.integers(0, 100)),
    )


@settings(deadline=None, max_examples=examples(40))
@given(cases())
def test_every_window_shows_the_gradients_of_its_own_steps(case):
    cell, steps, batch, k1, k2, lengths, resets, gates, seed = case
    torch.manual_seed(seed)
    layer = gatewise.Recurrent(CELLS[cell], 3, 4, dtype=torch.float64)
    x = torch.randn(steps, batch, 3, dtype=torch.float64)
    ends = torch.tensor([steps] * batch if lengths is None else lengths)
    flags = (torch.rand(steps, batch) < 0.3) & resets
    options = {
        "lengths": None if lengths is None else ends,
        "reset": flags if resets else None,
    }
    for _ in range(3):  # later ones take shorter ways
        with gatewise.watch(layer, gates=gates, keep=steps) as trace:
            windows = []
            for window in gatewise.TBPTT(k1, k2).windows(x, **options):
                output = window.run(layer)
                fresh = x[window.fresh : window.end, :, :1]
                loss = torch.where(window.valid[..., None], output * fresh + output.square(), 0.0).sum()
                loss.backward()
                windows.append(window)
        assert len(trace.passes) == len(windows)
        for index, window in enumerate(windows):
            values, gradients = by_hand(cell, layer, window, x, ends, flags)
            flow, states = trace.gradient_flow(index), trace.states(index)
            for number, name in enumerate(layer.cell.states):
                for actual, expected in (
                    (flow.rows[name], gradients[number].norm(dim=2)),
                    (flow[name], gradients[number].flatten(1).norm(dim=1)),
                    (states[name].nan_to_num(), values[number]),
                ):
                    torch.testing.assert_close(actual, expected, rtol=1e-9, atol=1e-12)
