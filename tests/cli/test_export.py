"""``gatewise export``, and the card of a run."""

import re
from types import SimpleNamespace

import pytest
import safetensors
import torch

import gatewise
from gatewise.interchange import declare
from gatewise.interchange.safetensors_file import read
from gatewise.models.classifier import Classifier
from gatewise.models.encoder import Encoder
from gatewise.models.spelling import CharacterConvolution, CharacterRecurrent
from gatewise.models.tagger import Tagger
from gatewise.models.token_embedding import TokenEmbedding
from gatewise.tasks.exports import onnx, pt2
from gatewise.tasks.exports.programs import programs_of
from tests.cli.command_line import check_mistake, leave
from tests.tasks.small import train_small


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    return train_small(folder, cell="gru_chung2014", epochs=1, dropout=0.0)


def test_a_run_has_a_card(run):
    card = (run.folder.path / "README.md").read_text()
    assert card.startswith("# A model of the task lm\n\ngru_chung2014; 715 parameters. Trained by gatewise ")
    assert "| bits per character |" in card
    assert re.search(r"- SHA-256 of data: `[0-9a-f]{64}`", card)
    assert 'cell = "gru_chung2014"' in card
    assert "h_t = (1 − z_t) ⊙ h_{t−1} + z_t ⊙ n_t" in card
    loading = card.split("````python\n")[1].split("````")[0]
    scope = {}
    exec(loading, scope)
    assert torch.equal(scope["model"].model.b_y, run.model.b_y)


def test_safetensors(run, tmp_path, capsys):
    out = tmp_path / "model.safetensors"
    assert leave("export", run.folder.path, "--to", "safetensors", "-o", out) == 0
    assert capsys.readouterr().out.splitlines()[1:] == [f"written: {out}", f"model card: {tmp_path / 'model.md'}"]
    state = read(out, None)
    fresh = gatewise.load(run.folder.path, "lm").model
    with torch.no_grad():
        fresh.b_y.zero_()
    fresh.load_state_dict(state)
    assert torch.equal(fresh.b_y, run.model.b_y)
    with pytest.raises(ValueError, match="without an identity"):
        declare(state, "gru_chung2014")  # it is in the header
    with safetensors.safe_open(out, framework="pt") as file:
        assert file.metadata()["config"] == run.folder.config.read_text()
        assert file.metadata()["task"] == "lm"
    assert "safetensors.safe_open('model.safetensors'" in (tmp_path / "model.md").read_text()


def test_pt2(run, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert leave("export", run.folder.path, "--to", "pt2", "-o", "model.pt2") == 0
    assert "equal to the model on random input" in capsys.readouterr().out
    loading = (tmp_path / "model.md").read_text().split("````python\n")[1].split("````")[0]
    scope = {}
    exec(loading, scope)
    for steps, rows in ((1, 1), (20, 4)):
        tokens = torch.randint(5, (steps, rows))
        torch.testing.assert_close(scope["model"](tokens), run.model(tokens)[0])


def test_onnx(run, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert leave("export", run.folder.path, "--to", "onnx", "-o", "model.onnx", "--opset", "21") == 0
    load = pytest.importorskip("onnx").load
    assert load("model.onnx").opset_import[0].version == 21
    printed = capsys.readouterr().out
    assert re.search(r"gru_chung2014 +GRU forward\n", printed)
    assert "equal to the module in ONNX Runtime" in printed
    assert "inputs: inputs (steps, rows); outputs: scores\n" in printed
    loading = (tmp_path / "model.md").read_text().split("````python\n")[1].split("````")[0]
    assert "# inputs: inputs (steps, rows) int64\n# outputs: scores\n" in loading
    scope = {}
    exec(loading, scope)
    for steps, rows in ((1, 1), (20, 4)):
        tokens = torch.randint(5, (steps, rows))
        (found,) = scope["model"].run(["scores"], {"inputs": tokens.numpy()})
        torch.testing.assert_close(torch.from_numpy(found), run.model(tokens)[0].detach(), atol=1e-5, rtol=1e-5)


def test_streaming(run, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert leave("export", run.folder.path, "--to", "pt2", "-o", "step.pt2", "--streaming") == 0
    loading = (tmp_path / "step.md").read_text().split("````python\n")[1].split("````")[0]
    assert "# inputs: inputs (rows,) int64, state (1, rows, 8) float32\n# outputs: scores, new_state\n" in loading
    scope = {}
    exec(loading, scope)
    tokens, state = torch.randint(5, (4, 3)), torch.zeros(1, 3, 8)
    for token, expected in zip(tokens, run.model(tokens)[0], strict=True):
        scores, state = scope["model"](token, state)
        torch.testing.assert_close(scores, expected)


def program(model, name="classify"):
    (found,) = programs_of(SimpleNamespace(model=model.eval(), name=name), streaming=False)
    return found


@pytest.mark.parametrize("pooling", ["last", "mean", "max"])
def test_pooling_in_onnx(tmp_path, pooling):
    embedding, encoder = TokenEmbedding(9, 4), Encoder("gru_cho2014", 4, 5, bidirectional=True)
    written = onnx._write(program(Classifier(embedding, encoder, pooling, 3)), tmp_path / "model.onnx", {})
    assert [layer.node for layer in written.layers] == ["GRU bidirectional"]
    assert list(written.inputs.values()) == [("steps", "rows"), ("rows",)]


@pytest.mark.parametrize("pooling", ["last", "mean", "max", "attention"])
def test_classifiers_have_any_number_of_steps(tmp_path, pooling):
    embedding = TokenEmbedding(9, 4)
    model = Classifier(embedding, Encoder("gru_cho2014", 4, 5, bidirectional=True), pooling, 3)
    assert "largest error" in pt2._write(program(model), tmp_path / "model.pt2")[0]


@pytest.mark.parametrize("kind", [CharacterConvolution, CharacterRecurrent])
def test_words_have_any_number_of_characters(tmp_path, kind):
    spelled = TokenEmbedding(9, 4, spelling=kind(7, 4, 6))
    made = program(Tagger(spelled, Encoder("lstm", spelled.width, 5), 3), "tag")
    assert [one.name for one in made.inputs] == ["inputs", "characters", "word_lengths", "word_index", "lengths"]
    assert "largest error" in pt2._write(made, tmp_path / "model.pt2")[0]


def test_a_program_that_differs_is_not_written(run, tmp_path, capsys, monkeypatch):
    load = torch.export.load

    def changed(file):
        program = load(file)
        program.state_dict["model.b_y"].add_(1)
        return program

    monkeypatch.setattr(torch.export, "load", changed)
    check_mistake(
        tmp_path, capsys, f"export {run.folder.path} --to pt2 -o {tmp_path}/model.pt2", "differs from the model by"
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--to keras5 -o x", "--to: expected one of safetensors, pt2, onnx"),
        ("--to pt2 -o none/x", "none/x: its folder does not exist"),
        ("--to pt2 -o x.md", "is the name of the model card"),
        ("--to safetensors -o x --streaming", "--to safetensors: --streaming is for programs"),
        ("--to safetensors -o x --opset 19", "--to safetensors: --opset is for onnx"),
        (
            "--to pt2 -o x --precision int8",
            "--to pt2: --precision is for c, and this format holds the weights as they are",
        ),
        ("--to c -o x --precision int4", "--precision"),
        ("--to pt2 -o x --opset 19", "--to pt2: --opset is for onnx"),
        ("--to onnx -o x --opset 17", "--to onnx: opset: expected 18 to 23, got 17"),
    ],
)
def test_mistakes(run, tmp_path, capsys, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    check_mistake(tmp_path, capsys, f"export {run.folder.path} {words}", message)
