"""The examples of other libraries, each beside the library's own way; run where the library is installed."""

from types import ModuleType
from typing import Any

import pytest
import torch

from benchmarks import other_libraries

pytestmark = pytest.mark.filterwarnings("ignore")  # of the libraries

# By example smaller sizes.
EXAMPLES: dict[str, dict[str, int]] = {
    "captum_attributions": {"rows": 3, "steps": 6, "features": 3, "hidden": 5},
    "opacus_private": {"rows": 3, "steps": 6, "features": 3, "hidden": 5},
    "pytorch_forecasting_models": {"rows": 4, "encoder": 8, "decoder": 3, "hidden": 5},
    "ray_train": {"rows": 3, "steps": 6, "hidden": 5},
    "sb3_recurrent_ppo": {"rows": 3, "steps": 40, "features": 3, "hidden": 5},
    "skorch_classifier": {"rows": 8, "steps": 6, "features": 3, "hidden": 5},
    "torchrl_modules": {"rows": 3, "steps": 40, "features": 3, "hidden": 5},
    "transformers_head": {"rows": 3, "steps": 6, "features": 4, "hidden": 5},
}


def opened(name: str) -> ModuleType:
    example = other_libraries.opened(name)
    if isinstance(example, str):
        pytest.skip(example)
    return example


def test_every_example_is_tested():
    assert set(EXAMPLES) == set(other_libraries.EXAMPLES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_it_computes_what_the_library_does(name: str):
    for theirs, ours in opened(name).cases(**EXAMPLES[name]).values():
        expected = theirs()
        assert all(one.abs().max() > 0 for one in expected)
        torch.testing.assert_close(ours(), expected, rtol=1e-4, atol=1e-6)


def test_sb3_learns_with_our_layers():
    example = opened("sb3_recurrent_ppo")
    import gatewise

    trained = example.learn(steps=512)
    optimised = {id(one) for group in trained.policy.optimizer.param_groups for one in group["params"]}
    for layer in (trained.policy.lstm_actor, trained.policy.lstm_critic):
        assert type(layer) is gatewise.LSTM
        assert all(id(one) in optimised for one in layer.parameters())


@pytest.mark.parametrize("mode", [True, False])
def test_torchrl_states_are_carried(mode: bool):
    example = opened("torchrl_modules")
    from torchrl.modules import LSTMModule

    data = example.batch(3, 6 if mode else 1, 3, 5, 0.0)
    for name in "hc":
        data[f"recurrent_state_{name}"] = torch.randn_like(data[f"recurrent_state_{name}"])
    data["is_init"][1, 0] = True  # a collector has stored the state that the episode begins with
    theirs = LSTMModule(3, 5, in_key="observation", out_key="features", default_recurrent_mode=mode)
    ours = example.reset_lstm_module(3, 5, default_recurrent_mode=mode)
    ours.lstm.load_state_dict(theirs.lstm.state_dict())
    expected, found = theirs(data.clone()), ours(data.clone())
    assert set(found.keys(True, True)) == set(expected.keys(True, True))
    for key in expected.keys(True, True):
        torch.testing.assert_close(found[key], expected[key])


def test_torchrl_gru():
    example = opened("torchrl_modules")
    from torchrl.modules import GRUModule

    data = example.batch(3, 40, 3, 5, 0.1)
    theirs = GRUModule(3, 5, in_key="observation", out_key="features", default_recurrent_mode=True)
    ours = example.gru_module(3, 5, default_recurrent_mode=True)
    ours.gru.load_state_dict(theirs.gru.state_dict())
    torch.testing.assert_close(ours(data.clone())["features"], theirs(data.clone())["features"])


def test_transformers_tagger_reads_no_padding():
    example = opened("transformers_head")
    torch.manual_seed(0)
    model = example.Tagger(example.small_encoder(), hidden_size=5, labels=3).eval()
    tokens = torch.randint(100, (2, 7))
    attention_mask = torch.tensor([[1] * 7, [1] * 4 + [0] * 3])
    alone = model(tokens[1:, :4], attention_mask[1:, :4])
    torch.testing.assert_close(model(tokens, attention_mask)[1:, :4], alone)


def test_skorch_fits():
    example = opened("skorch_classifier")
    torch.manual_seed(0)
    data, labels = example.first_signs(rows=400, steps=12)
    assert example.estimator(max_epochs=15, batch_size=20).fit(data, labels).score(data, labels) > 0.9


def test_captum_attributes_to_a_layer():
    example = opened("captum_attributions")
    torch.manual_seed(0)
    model = example.Hooked(3, 5, 2).eval()
    x, lengths = torch.randn(2, 4, 3), torch.tensor([4, 2])
    found = example.attributions_to_outputs(model, x, lengths)
    moved = model(x, lengths)[:, 1] - model(torch.zeros_like(x), lengths)[:, 1]
    torch.testing.assert_close(found.sum((1, 2)), moved, rtol=1e-4, atol=1e-5)
    assert (found[1, 2:] == 0).all()


def test_opacus_spends_privacy():
    assert 0 < opened("opacus_private").train(epochs=1) < 10


def test_pytorch_forecasting_samples():
    example = opened("pytorch_forecasting_models")
    torch.manual_seed(0)
    data = example.sines(2, 30, 8, 3)
    x, _ = next(iter(data.to_dataloader(train=True, batch_size=4, num_workers=0)))
    for cell in ("LSTM", "GRU"):
        model = example.with_our_layers(example.deepar(data, 5, cell=cell)).eval()
        assert type(model.rnn).__name__ == f"Sampled{cell}"
        assert model(x, n_samples=6)["prediction"].shape == (4, 3, 6)


@pytest.mark.parametrize("name", ["RecurrentNetwork", "TemporalFusionTransformer"])
def test_other_models_of_pytorch_forecasting(name: str):
    example = opened("pytorch_forecasting_models")
    import copy

    import pytorch_forecasting

    torch.manual_seed(0)
    data = example.sines(3, 40, 8, 3)
    theirs = getattr(pytorch_forecasting, name).from_dataset(data, hidden_size=8, dropout=0.0).eval()
    ours = example.with_our_layers(copy.deepcopy(theirs))
    assert any(type(module).__module__ == example.__name__ for module in ours.modules())
    x, _ = next(iter(data.to_dataloader(train=True, batch_size=8, num_workers=0)))
    assert len(x["encoder_lengths"].unique()) > 1
    torch.testing.assert_close(ours(x)["prediction"], theirs(x)["prediction"])


def test_ray_trains_as_with_torch(tmp_path: Any):
    example = opened("ray_train")
    from ray import cloudpickle

    cloudpickle.register_pickle_by_value(example)  # the workers cannot import it by its name
    expected, found = (example.train(tmp_path, layer, steps=3) for layer in ("torch", "gatewise"))
    assert not torch.equal(expected["head.weight"], example.made("torch").head.weight)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
