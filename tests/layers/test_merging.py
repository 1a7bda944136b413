"""The two directions as one: pairs, sums, products, and the learned map."""

import pytest
import torch

import gatewise
from gatewise.layers.merging import merge_directions, merged_width


def halves(layer: gatewise.Recurrent, x: torch.Tensor, **options: object) -> tuple[torch.Tensor, torch.Tensor]:
    """The outputs of both directions of a one-layer network, from a layer per direction."""
    outputs = []
    for suffix in ("", "_reverse"):
        one = gatewise.Recurrent(layer.cell, layer.input_size, layer.hidden_size, dtype=torch.float64)
        own = {name: getattr(layer, f"{name}{suffix}") for name in one.state_dict()}
        one.load_state_dict(gatewise.interchange.declare(own, layer.cell))
        outputs.append(one(x.flip(0) if suffix else x)[0])
    return outputs[0], outputs[1].flip(0)


COMBINED = {
    "concat": lambda f, r: torch.cat([f, r], dim=-1),
    "sum": lambda f, r: f + r,
    "mean": lambda f, r: (f + r) / 2,
    "mul": lambda f, r: f * r,
}


@pytest.mark.parametrize("merge", COMBINED)
def test_each_merge_is_its_name(merge: str):
    layer = gatewise.Recurrent("gru_chung2014", 3, 4, bidirectional=True, merge=merge, dtype=torch.float64)
    x = torch.randn(5, 2, 3, dtype=torch.float64)
    torch.testing.assert_close(layer(x)[0], COMBINED[merge](*halves(layer, x)))


def test_none_gives_a_pair_of_the_last_layer_and_concatenates_below():
    torch.manual_seed(0)
    pair = gatewise.Recurrent("lstm", 3, 4, 2, bidirectional=True, merge=None)
    torch.manual_seed(0)
    concat = gatewise.Recurrent("lstm", 3, 4, 2, bidirectional=True)
    x = torch.randn(5, 2, 3)
    output, state = pair(x)
    assert isinstance(output, tuple)
    assert [part.shape for part in output] == [(5, 2, 4), (5, 2, 4)]
    expected, expected_state = concat(x)
    assert torch.equal(torch.cat(output, dim=-1), expected)
    torch.testing.assert_close(state, expected_state, rtol=0, atol=0)
    unbatched, _ = pair(x[:, 0])
    assert [part.shape for part in unbatched] == [(5, 4), (5, 4)]


@pytest.mark.parametrize("init", ["default", "xavier", "he", "orthogonal", "identity"])
def test_the_learned_merge_starts_as_the_mean(init: str):
    torch.manual_seed(0)
    layer = gatewise.Recurrent("gru_cho2014", 3, 4, bidirectional=True, merge="learned", init=init, dtype=torch.float64)
    x = torch.randn(5, 2, 3, dtype=torch.float64)
    torch.testing.assert_close(layer(x)[0], COMBINED["mean"](*halves(layer, x)))


def test_the_learned_merge_of_torchs_scheme_is_uniform():
    layer = gatewise.BiLSTM(3, 16, merge="learned")
    for tensor in (layer.merge_weight_l0, layer.merge_bias_l0):
        assert tensor.abs().max() <= 0.25
        assert tensor.std() > 0.08


def test_the_learned_merge_is_trained_and_silent_past_the_end():
    layer = gatewise.Recurrent("lstm", 3, 4, 2, bidirectional=True, merge="learned")
    torch.nn.init.constant_(layer.merge_bias_l0, 1.0)
    torch.nn.init.constant_(layer.merge_bias_l1, 1.0)
    lengths = torch.tensor([5, 2, 0])
    output, _ = layer(torch.randn(5, 3, 3), lengths=lengths)
    for row, length in enumerate(lengths.tolist()):
        assert (output[length:, row] == 0).all()
        assert (output[:length, row] != 0).any() == (length > 0)
    output.sum().backward()
    for name in ("merge_weight_l0", "merge_bias_l0", "merge_weight_l1", "merge_bias_l1"):
        assert getattr(layer, name).grad.abs().sum() > 0
    # Each of the seven valid steps counts once.
    assert torch.equal(layer.merge_bias_l1.grad, torch.full((4,), 7.0))


@pytest.mark.parametrize("merge", ["concat", "sum", "mean", "mul", "learned", None])
def test_widths(merge: str | None):
    width = 8 if merge in ("concat", None) else 4
    assert merged_width(merge, 4, 2) == width
    layer = gatewise.Recurrent("lstm", 3, 4, 2, bidirectional=True, merge=merge)
    assert layer.weight_ih_l1.shape == (16, width)
    assert hasattr(layer, "merge_weight_l0") == (merge == "learned")


def test_concat_leaves_the_output_as_it_is():
    output = torch.randn(5, 2, 8)
    for merge in ("concat", None):
        assert merge_directions(output, merge, None, None, None) is output
