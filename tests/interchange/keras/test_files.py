"""Files of Keras, and their conversion."""

import contextlib
import json
import warnings
import zipfile

import numpy as np
import pytest
import torch

import gatewise
from gatewise.interchange.conversion import convert

h5py = pytest.importorskip("h5py")
# Keras itself calls NumPy so.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't:DeprecationWarning")


@pytest.fixture(scope="module")
def model(keras):
    """Layers whose names are not their addresses, and a model within the model."""
    layers = keras.layers
    inner = keras.Sequential([keras.Input((None, 10)), layers.SimpleRNN(3, return_sequences=True)], name="inside")
    inputs = keras.Input((None, 3))
    x = layers.LSTM(4, return_sequences=True, name="second")(inputs)
    x = layers.LSTM(4, return_sequences=True, name="first", go_backwards=True)(x)
    x = layers.Bidirectional(layers.GRU(5, return_sequences=True), name="both")(x)
    x = inner(x * 2)
    x = layers.GRU(2, reset_after=False, use_bias=False, name="last")(x)
    made = keras.Model(inputs, layers.Dense(1, name="head")(x))
    generator = np.random.default_rng(5)
    made.set_weights([generator.normal(0, 0.5, one.shape).astype("float32") for one in made.get_weights()])
    return made


@pytest.fixture(scope="module")
def saved(model, tmp_path_factory):
    """The model as an archive, as weights with a configuration."""
    folder = tmp_path_factory.mktemp("keras")
    model.save(folder / "model.keras")
    model.save_weights(folder / "model.weights.h5")
    return folder


def check(found, model):
    expected = {name: gatewise.from_keras(model.get_layer(name)) for name in ("second", "first", "both", "last")}
    inner = model.get_layer("inside").layers[-1]
    expected[f"inside/{inner.name}"] = gatewise.from_keras(inner)
    assert set(found) == set(expected)
    for name, layer in found.items():
        assert repr(layer) == repr(expected[name])
        state = expected[name].state_dict()
        assert all(torch.equal(weight, state[own]) for own, weight in layer.state_dict().items())


def test_archive_and_weights(model, saved):
    check(gatewise.from_keras(saved / "model.keras"), model)
    check(gatewise.from_keras(json.loads(model.to_json()), str(saved / "model.weights.h5")), model)


def test_the_model_itself(model):
    check(gatewise.from_keras(model), model)
    assert list(gatewise.from_keras(model, names=["both"])) == ["both"]
    with pytest.raises(ValueError, match=r"the layer 'head' is not recurrent \(Dense\)"):
        gatewise.from_keras(model, names=["head"])


def test_layers_are_chosen_and_refused_by_name(saved):
    assert list(gatewise.from_keras(saved / "model.keras", names=["last", "first"])) == ["last", "first"]
    with pytest.raises(
        ValueError, match=r"model\.keras: the layer 'head' is not recurrent \(Dense\); the recurrent ones"
    ):
        gatewise.from_keras(saved / "model.keras", names=["head"])
    with pytest.raises(
        ValueError, match=r"no layer 'third' in the model; the recurrent ones are second, first, both, "
    ):
        gatewise.from_keras(saved / "model.keras", names=["third"])


def test_weights_alone_need_the_configuration(saved):
    with pytest.raises(ValueError, match="weights without the configuration of their model; pass it first"):
        gatewise.from_keras(saved / "model.weights.h5")


def test_weights_of_another_model(model, saved):
    config = json.loads(model.to_json())
    config["config"]["layers"] *= 2
    with pytest.raises(ValueError, match=r"layer second: /layers/lstm_2: missing in the weights"):
        gatewise.from_keras(config, saved / "model.weights.h5")


@pytest.mark.parametrize("target", ["torch", "safetensors"])
def test_conversion(model, saved, tmp_path, target):
    out = tmp_path / "out"
    assert convert(saved / "model.keras", out, target).layers.keys() >= {"second", "both", "last"}
    again = tmp_path / "again"
    convert(saved / "model.keras", again, target, key="both")
    (state,) = [torch.load(again)] if target == "torch" else [_safetensors(again)]
    expected = gatewise.from_keras(model.get_layer("both"))
    assert expected.load_state_dict(state).missing_keys == []


def test_written_models_open_in_keras(keras, tmp_path):
    layers = {
        "encoder.rnn": gatewise.LSTM(3, 4, 2, bidirectional=True),
        "encoder_rnn": gatewise.GRU(3, 4, variant="cho2014"),
        "b": gatewise.GRU(5, 2, bidirectional=True),
        "c": gatewise.RNN(3, 4, bias=False, dtype=torch.float64),
    }
    model = torch.nn.ModuleDict({"encoder": torch.nn.ModuleDict({"rnn": layers["encoder.rnn"]})})
    model.update({name: layer for name, layer in layers.items() if "." not in name})
    torch.save(model.state_dict(), tmp_path / "a.pt")
    convert(tmp_path / "a.pt", tmp_path / "a.keras", "keras")
    opened = keras.models.load_model(tmp_path / "a.keras")
    named = {"encoder_rnn_l1": "encoder.rnn", "encoder_rnn_2": "encoder_rnn", "b": "b", "c": "c"}
    assert [one.name for one in opened.inputs] == ["encoder_rnn_input", "encoder_rnn_2_input", "b_input", "c_input"]
    x = [torch.randn(2, 6, layer.input_size, dtype=next(layer.parameters()).dtype) for layer in layers.values()]
    for name, output, one in zip(named.values(), opened(x), x, strict=True):
        expected, _ = layers[name](one.transpose(0, 1))
        torch.testing.assert_close(output, expected.transpose(0, 1), rtol=1e-5, atol=1e-6)
    assert list(gatewise.from_keras(tmp_path / "a.keras")) == ["encoder_rnn_l0", *named]


def _safetensors(path):
    from gatewise.interchange.safetensors_file import read

    return read(path, None)


def test_hdf5_of_a_model(keras, tmp_path):
    layers = keras.layers
    inner = layers.Bidirectional(layers.LSTM(4, return_sequences=True), merge_mode="sum", name="both")
    made = keras.Sequential([keras.Input((None, 3)), inner, layers.GRU(2, name="last"), layers.Dense(1)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made.save(tmp_path / "model.h5")
    found = gatewise.from_keras(tmp_path / "model.h5")
    assert list(found) == ["both", "last"]
    for name, layer in found.items():
        state = gatewise.from_keras(made.get_layer(name)).state_dict()
        assert all(torch.equal(weight, state[own]) for own, weight in layer.state_dict().items())


def test_hdf5_of_models_within_a_model(keras, tmp_path):
    layers = keras.layers
    inner = keras.Sequential(
        [keras.Input((None, 3)), layers.SimpleRNN(2, return_sequences=True, name="rnn")], name="inner"
    )
    both = layers.Bidirectional(layers.GRU(2, return_sequences=True), name="rnn")
    other = keras.Sequential([keras.Input((None, 2)), both], name="other")
    inputs = keras.Input((None, 3))
    middle = keras.Model(inputs, other(inner(inputs)), name="middle")
    inputs = keras.Input((None, 3))
    made = keras.Model(inputs, layers.LSTM(2, name="last")(middle(inputs)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made.save(tmp_path / "model.h5")
    expected = {
        "middle/inner/rnn": inner.layers[-1],
        "middle/other/rnn": both,
        "last": made.get_layer("last"),
    }
    for found in (gatewise.from_keras(tmp_path / "model.h5"), gatewise.from_keras(made)):
        assert list(found) == list(expected)
        for name, layer in found.items():
            state = gatewise.from_keras(expected[name]).state_dict()
            assert all(torch.equal(weight, state[own]) for own, weight in layer.state_dict().items())


def legacy(path, *, version=b"2.15.0", **options):
    """A file as Keras 2.15 writes it: the names of layers and weights in attributes."""
    config = {"name": "gru", "units": 2, "recurrent_activation": "hard_sigmoid", "reset_after": False, **options}
    layers = [
        {"class_name": "InputLayer", "config": {"name": "input_1"}},
        {"class_name": "GRU", "config": config},
    ]
    arrays = {"kernel": (3, 6), "recurrent_kernel": (2, 6), "bias": (6,)}
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = np.bytes_(version)  # as earlier h5py
        model = {"class_name": "Sequential", "config": {"layers": layers}}
        file.attrs["model_config"] = np.bytes_(json.dumps(model).encode())
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = np.asarray([b"input_1", b"gru"])
        own = group.create_group("gru")
        own.attrs["weight_names"] = np.asarray([f"gru/gru_cell/{name}:0".encode() for name in arrays])
        for index, (name, shape) in enumerate(arrays.items()):
            own[f"gru/gru_cell/{name}:0"] = np.full(shape, index + 0.5, "float32")


def test_hdf5_of_keras_2(tmp_path):
    legacy(tmp_path / "a.h5")
    layer = gatewise.from_keras(tmp_path / "a.h5")["gru"]
    assert [float(weight.flatten()[0]) for weight in layer.state_dict().values()] == [0.5, 1.5, 2.5]
    assert "0.2" in layer.cell.doc
    legacy(tmp_path / "b.h5", version=b"3.0.0")
    assert "0.166667" in gatewise.from_keras(tmp_path / "b.h5")["gru"].cell.doc


def test_hdf5_of_keras_2_with_a_model_within(tmp_path):
    """Its weights are named by the layer alone, so two layers of one name cannot be told apart."""
    path = tmp_path / "a.h5"
    legacy(path)
    with h5py.File(path, "a") as file:
        model = json.loads(file.attrs["model_config"])
        inner = {"class_name": "Functional", "config": {"name": "inner", "layers": model["config"]["layers"]}}
        outer = {"class_name": "Functional", "config": {"name": "outer", "layers": [inner]}}
        file.attrs["model_config"] = json.dumps({"class_name": "Functional", "config": {"layers": [outer]}})
        file["model_weights"].move("gru", "outer")
    layer = gatewise.from_keras(path)["outer/inner/gru"]
    assert [float(weight.flatten()[0]) for weight in layer.state_dict().values()] == [0.5, 1.5, 2.5]
    with h5py.File(path, "a") as file:
        names = file["model_weights/outer"].attrs["weight_names"]
        file["model_weights/outer"].attrs["weight_names"] = np.concatenate([names, names])
    with pytest.raises(ValueError, match=r"GRU layer gru: weights: expected 3 arrays .*, got 6"):
        gatewise.from_keras(path)
    with h5py.File(path, "a") as file:
        file["model_weights/outer"].attrs["weight_names"] = np.asarray([b"other/kernel:0"])
    with pytest.raises(ValueError, match="layer outer/inner/gru: /model_weights/outer: no weights of the layer gru"):
        gatewise.from_keras(path)


def _links_outside(path):
    legacy(path.with_name("other.h5"))
    legacy(path)
    with h5py.File(path, "a") as file:
        del file["model_weights/gru/gru"]
        file["model_weights/gru/gru"] = h5py.ExternalLink("other.h5", "model_weights/gru/gru")


def _is_external(path):
    legacy(path)
    with h5py.File(path, "a") as file:
        group = file["model_weights/gru/gru/gru_cell"]
        del group["bias:0"]
        group.create_dataset("bias:0", (6,), "float32", external=[(str(path.with_name("raw")), 0, 24)])


def _is_huge(path):
    legacy(path)
    with h5py.File(path, "a") as file:
        group = file["model_weights/gru/gru/gru_cell"]
        del group["kernel:0"]
        group.create_dataset("kernel:0", (10**9, 6), "float32", chunks=(1000, 6))


def _is_a_group(path):
    legacy(path)
    with h5py.File(path, "a") as file:
        del file["model_weights/gru/gru/gru_cell/bias:0"]
        file.create_group("model_weights/gru/gru/gru_cell/bias:0")


def _has_no_layer(path):
    legacy(path)
    with h5py.File(path, "a") as file:
        del file["model_weights/gru"]


def _archive(**members):
    def write(path):
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in members.items():
                archive.writestr({"weights": "model.weights.h5"}.get(name, f"{name}.json"), content)

    return write


MODEL = json.dumps({"class_name": "Sequential", "config": {"layers": [{"class_name": "LSTM", "config": {"units": 1}}]}})
MALFORMED = {
    "empty": (lambda path: path.write_bytes(b""), "a corrupt archive"),
    "text": (lambda path: path.write_text("text"), "a corrupt archive"),
    "signature": (
        lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(90)),
        "not an HDF5 file, or a corrupt one",
    ),
    "no weights": (_archive(config=MODEL), "an archive without model.weights.h5"),
    "no json": (_archive(config="{", weights=b""), "Expecting property name"),
    "no hdf5": (_archive(config=MODEL, weights=b"text"), "not an HDF5 file, or a corrupt one"),
    "list": (_archive(config="[]", metadata="[]", weights=b"text"), "not an HDF5 file"),
    "link": (_links_outside, "layer gru: /model_weights/gru/gru: missing in the weights"),
    "external": (_is_external, "bias:0: expected an array in this file"),
    "huge": (_is_huge, "kernel:0: an array of 24000000000 bytes in a file of"),
    "group": (_is_a_group, "bias:0: expected an array in this file"),
    "no layer": (_has_no_layer, "layer gru: /model_weights/gru: missing in the weights"),
    "option": (lambda path: legacy(path, activation="gelu"), "GRU layer gru: activation: expected one of"),
}


@pytest.mark.parametrize("kind", MALFORMED)
def test_malformed_files_are_one_clear_error(tmp_path, kind):
    write, message = MALFORMED[kind]
    write(tmp_path / "file")
    with pytest.raises(ValueError, match=message) as caught:
        gatewise.from_keras(tmp_path / "file")
    assert str(caught.value).startswith(f"{tmp_path / 'file'}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["stored", "deflated", "hdf5"])
def test_truncated_and_changed_files_are_value_errors(tmp_path, kind):
    path = tmp_path / "file"
    legacy(path)
    if kind != "hdf5":
        with h5py.File(tmp_path / "weights", "w") as file:
            for index, shape in enumerate([(3, 4), (1, 4), (4,)]):
                file[f"layers/lstm/cell/vars/{index}"] = np.ones(shape, "float32")
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED if kind == "deflated" else zipfile.ZIP_STORED) as archive:
            archive.writestr("config.json", MODEL)
            archive.write(tmp_path / "weights", "model.weights.h5")
    assert len(gatewise.from_keras(path)) == 1
    content = path.read_bytes()
    generator = np.random.default_rng(1)
    for attempt in range(150):
        changed = bytearray(content if attempt % 4 else content[: generator.integers(9, len(content))])
        for place in generator.integers(8, len(changed), generator.integers(1, 30)):
            changed[place] = generator.integers(256)
        path.write_bytes(changed)
        with contextlib.suppress(ValueError):
            gatewise.from_keras(path)
