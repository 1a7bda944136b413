"""A trained run of every task as programs of ONNX and of torch.export: they compute what the model computes."""

import datetime
import functools
import json
import logging
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

import gatewise
from gatewise.interchange.onnx.native import Native
from gatewise.models.classifier import Classifier
from gatewise.models.conditional_random_field import ConditionalRandomField
from gatewise.models.decoder import Decoder
from gatewise.models.encoder import Encoder
from gatewise.models.sequence_to_sequence import SequenceToSequence
from gatewise.models.tagger import Tagger
from gatewise.tasks.export import export
from gatewise.tasks.exports import onnx, pt2
from gatewise.tasks.exports.program import Program
from gatewise.tasks.exports.programs import programs_of
from gatewise.tasks.exports.translations import TRANSLATIONS
from gatewise.tasks.numeric.corpus import read_sequences
from gatewise.tasks.sequence_to_sequence.network import padded_sources, search_answers
from gatewise.tasks.trained import Trained
from tests.tasks.forecasting.small import SMALL as FORECAST
from tests.tasks.numeric.test_categories import OPTIONS as NUMERIC
from tests.tasks.numeric.test_categories import rows, table
from tests.tasks.sequence_to_sequence.test_sequence_to_sequence import SMALL as PAIRS
from tests.tasks.small import SMALL as TEXT
from tests.tasks.small import TEXT as CONTENT
from tests.tasks.small_sequences import SMALL, SMALL_TOKENS, labelled_texts, reversed_words
from tests.tasks.tagging.test_word_features import featured_words

Arrays = Mapping[str, np.ndarray]


def text(folder: Path) -> Path:
    path = folder / "text.txt"
    path.write_text(CONTENT)
    return path


def days_of_shops(folder: Path) -> Path:
    """Series of other sizes, one of which ends without changes, with missing values and all kinds of covariates."""
    draw, path = random.Random(0), folder / "days.csv"
    rows = ["day,shop,offer,weather,v"]
    for shop, count, size in (("north", 70, 1.0), ("south", 51, 1e6), ("west", 60, 1.0)):
        for day in range(count + 4):
            offer, weather = draw.randint(5, 9), draw.choice(["rain", "sun"])
            value = size * (1000 + day % 7 + offer + 3 * (weather == "sun") + draw.gauss(0, 0.1))
            if shop == "west" and day > 40:
                value = 1000.0
            missing = day >= count or draw.random() < 0.1 * (day > 0)
            date = datetime.date(2024, 1, 1) + datetime.timedelta(day)
            rows.append(f"{date},{shop},{offer},{weather},{'' if missing else value}")
    path.write_text("\n".join(rows))
    return path


# For every task its data and options, and the nodes that its layers become.
TASKS: dict[str, tuple[Callable[[Path], Path], dict[str, Any], list[str]]] = {
    "lm": (text, {**TEXT, "cell": "peephole_lstm_full"}, ["Scan"]),
    "classify": (labelled_texts, {**SMALL, **SMALL_TOKENS, "pooling": "attention", "cell": "gru_chung2014"}, ["GRU"]),
    "tag": (
        featured_words,
        {
            **SMALL,
            **SMALL_TOKENS,
            "spelling": "recurrent",
            "output": "crf",
            "feature_columns": ["2", "3"],
            "feature_size": 4,
            "cell": "lstm",
        },
        ["LSTM", "LSTM"],
    ),
    "seq2seq": (reversed_words, {**PAIRS, "attention": "bahdanau", "cell": "gru_cudnn"}, ["GRU", "GRU"]),
    "numeric": (lambda folder: table(folder / "a.csv", rows()), {**NUMERIC, "cell": "rnn_relu"}, ["RNN"]),
    "forecast": (
        days_of_shops,
        {
            **FORECAST,
            "time_column": "day",
            "series_column": "shop",
            "covariate_columns": ["offer"],
            "categorical": ["weather", "shop"],
            "season": 7,
            "output": "quantile",
            "cell": "peephole_lstm",
        },
        ["LSTM"],
    ),
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Trained]:
    """The trained runs, each made when it is first asked for."""
    made: dict[str, Trained] = {}

    def run(task: str) -> Trained:
        if task not in made:
            folder = tmp_path_factory.mktemp(task)
            data, options, _ = TASKS[task]
            made[task] = gatewise.train(task, data=data(folder), out=folder / "run", **{**options, "epochs": 1})
        return made[task]

    return run


@functools.lru_cache(1)
def session_of(path: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def in_onnx_runtime(path: Path, given: Mapping[str, Tensor | np.ndarray]) -> dict[str, np.ndarray]:
    session = session_of(path)
    assert {one.name for one in session.get_inputs()} == set(given)
    names = [one.name for one in session.get_outputs()]
    return dict(zip(names, session.run(None, {name: np.asarray(one) for name, one in given.items()}), strict=True))


def assert_close(found: np.ndarray, expected: Tensor) -> None:
    np.testing.assert_allclose(found, expected.detach().numpy(), rtol=1e-5, atol=1e-5)


def check_language_model(run: Any, folder: Path) -> None:
    tokens = run.vocabulary.encode("the lazy dog,\nand")[:, None]
    assert_close(in_onnx_runtime(folder / "m.onnx", {"inputs": tokens})["scores"], run.model(tokens)[0])


def check_classifier(run: Any, folder: Path) -> None:
    texts = ["it was a great, film", "awful", "dull"]
    (tokens, *spelled), lengths = run.reader.batch([run.reader.read(run.reader.split(one)) for one in texts])
    given = {"inputs": tokens, "lengths": lengths}
    given |= dict(zip(("characters", "word_lengths", "word_index"), spelled, strict=True))
    scores = in_onnx_runtime(folder / "m.onnx", given)["scores"]
    assert_close(scores, run.model((tokens, *spelled), lengths))
    labels = json.loads(metadata(folder / "m.onnx")["labels"])
    assert [labels[row] for row in scores.argmax(1)] == [found.label for found in run.predict(texts)]


def check_tagger(run: Any, folder: Path) -> None:
    sentences = [[("can", "N", "a"), ("fish", "V", "b")], [("new", "V", "unknown")], [("fish", "N", "a")] * 4]
    (tokens, features, *spelled), lengths = run.reader.batch([run.reader.read(one) for one in sentences])
    given = {"inputs": tokens, "features": features, "lengths": lengths}
    given |= dict(zip(("characters", "word_lengths", "word_index"), spelled, strict=True))
    found = in_onnx_runtime(folder / "m.onnx", given)
    assert_close(found["scores"], run.model((tokens, features, *spelled), lengths))
    labels = json.loads(metadata(folder / "m.onnx")["labels"])
    decoded = [[labels[tag] for tag in found["tags"][:length, row]] for row, length in enumerate(lengths)]
    assert decoded == [one.tags for one in run.predict(sentences)]


def check_pairs(run: Any, folder: Path) -> None:
    """Greedy answers of the two models, token by token."""
    sources = [run.source.read("red blue green"), run.source.read("blue")]
    source, lengths = padded_sources(sources)
    begun = in_onnx_runtime(folder / "m.encoder.onnx", {"source": source, "lengths": lengths})
    memory = {name: begun[name] for name in ("values", "keys")}
    assert_close(memory["values"], run.model.begin(source, lengths).memory.values)
    states = {name: value for name, value in begun.items() if name not in memory}
    end = json.loads(metadata(folder / "m.decoder.onnx")["target_end"])
    token, answers = np.full(2, end), []
    for _ in range(4):
        given = {"token": token, "lengths": lengths, **memory, **states}
        scores, *new = in_onnx_runtime(folder / "m.decoder.onnx", given).values()
        states = dict(zip(states, new, strict=True))
        token = scores.argmax(1)
        answers.append(token)
    ours = search_answers(run.model, sources, end, beam=1, longest=4, penalty=0.0)
    assert [[*row[: row.index(end) if end in row else 4]] for row in np.stack(answers).T.tolist()] == [
        one[0].tokens for one in ours
    ]


def check_numbers(run: Any, folder: Path) -> None:
    examples = read_sequences(run.options, run.options.data)[:5]
    (numbers, categories), lengths = run.reader.batch(examples)
    given = {"inputs": numbers, "categories": categories, "lengths": lengths}
    scores = in_onnx_runtime(folder / "m.onnx", given)["scores"]
    assert_close(scores, run.model((numbers, categories), lengths))
    details = metadata(folder / "m.onnx")
    names = json.loads(details["labels"])
    assert [names[row] for row in scores.argmax(1)] == [
        found.label for found in run.head.predict(run.model, run.reader, examples)
    ]
    of_features = json.loads(details["normalisation"])
    scaled = (examples[0].steps - of_features["means"]) / of_features["deviations"]
    np.testing.assert_allclose(numbers[: examples[0].length, 0], scaled, rtol=1e-6)


def of_series(run: Any) -> list[dict[str, np.ndarray]]:
    """Of each series what a program reads of its steps, and of those to come."""
    found = []
    for one in run._corpus().series:
        known, count = run.preprocessing.known(one, 0, len(one) + 4).numpy(), len(one)
        beside = {"covariates": one.covariates[:, :1], "categories": known[:, -2:].astype(np.int64)}
        found.append(
            {"values": one.values, "calendar": known[:count, :2].astype("f")}
            | {name: values[:count] for name, values in beside.items()}
            | {f"future_{name}": values[count:] for name, values in beside.items()}
        )
    return found


def check_forecaster(run: Any, folder: Path) -> None:
    series = of_series(run)
    lengths = np.array([len(one["values"]) for one in series])
    given = {"lengths": lengths}
    for name in series[0]:
        if name.startswith("future_"):
            given[name] = np.stack([one[name] for one in series])
        else:
            longest = [
                np.pad(one[name], [(0, lengths.max() - len(one[name])), *[(0, 0)] * (one[name].ndim - 1)])
                for one in series
            ]
            given[name] = np.stack(longest, 1)
    assert np.isnan(given["values"]).sum() > 5
    check_forecasts(in_onnx_runtime(folder / "m.onnx", given)["forecasts"], run, folder / "m.onnx")


def check_forecasts(found: np.ndarray, run: Any, path: Path) -> None:
    """They are those of `predict`, which are calibrated."""
    assert run.predictor.calibration.moves.any()
    levels = json.loads(metadata(path)["levels"])
    for row, expected in zip(found, run.predict(), strict=True):
        for index, level in enumerate(levels):
            column = expected.values if level == 0.5 else expected.quantiles[f"q{level:g}"]
            np.testing.assert_allclose(row[:, index], column, rtol=2e-7)


CHECKS = {
    "lm": check_language_model,
    "classify": check_classifier,
    "tag": check_tagger,
    "seq2seq": check_pairs,
    "numeric": check_numbers,
    "forecast": check_forecaster,
}


def metadata(path: Path) -> dict[str, str]:
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).get_modelmeta().custom_metadata_map


@pytest.mark.parametrize("task", TASKS)
def test_onnx(task: str, runs: Callable[[str], Trained], tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run = runs(task)
    caplog.clear()
    report = export(run, "onnx", tmp_path / "m.onnx")
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    nodes = [operator for line in report for operator in ("Scan", "LSTM", "GRU", "RNN") if f" {operator} " in line]
    assert sorted(nodes) == sorted(TASKS[task][2])
    assert any("(steps, rows" in line for line in report), "\n".join(report)
    files = [line.removeprefix("written: ") for line in report if line.startswith("written: ")]
    assert {str(one) for one in tmp_path.iterdir()} == {*files, str(tmp_path / "m.md")}
    for file in files:
        assert metadata(Path(file))["config"] == run.folder.config.read_text()
        assert metadata(Path(file))["task"] == task
    with torch.no_grad():
        CHECKS[task](run, tmp_path)


@pytest.mark.parametrize("to", ["onnx", "pt2"])
def test_streaming(to: str, runs: Callable[[str], Trained], tmp_path: Path) -> None:
    """A language model token by token."""
    run: Any = runs("lm")
    path = tmp_path / f"m.{to}"
    export(run, to, path, streaming=True)
    tokens = run.vocabulary.encode("the lazy")[:, None].repeat(1, 2)
    expected, final = run.model(tokens)
    states = {f"state_{index}": torch.zeros_like(one) for index, one in enumerate(final)}
    for token, scores in zip(tokens, expected, strict=True):
        given = {"inputs": token, **states}
        if to == "onnx":
            found, *new = in_onnx_runtime(path, given).values()
        else:
            found, *new = (one.detach().numpy() for one in torch.export.load(path).module()(*given.values()))
        assert_close(found, scores)
        states = dict(zip(states, map(torch.as_tensor, new), strict=True))


@pytest.mark.parametrize("to", ["onnx", "pt2"])
def test_the_best_tags_of_sentences(to: str, tmp_path: Path) -> None:
    """Viterbi decoding in the graph: any number of steps, one among them, and lengths, 0 among them."""
    torch.manual_seed(0)
    allowed = torch.ones(5, 5, dtype=torch.bool)
    allowed[0, 1] = allowed[4, 2] = allowed[1, 4] = False
    field = ConditionalRandomField(allowed)
    nn.init.normal_(field.transitions, std=2)
    model = Tagger(nn.Identity(), Encoder("gru_cudnn", 3, 4, bidirectional=True), 4, field)
    (program,) = programs_of(of_model(model, "tag"), streaming=False)
    path = tmp_path / f"m.{to}"
    run = _onnx_program(program, path) if to == "onnx" else _pt2_program(program, path)
    chosen_alone = 0
    for steps, lengths in ((1, [1, 1, 0]), (6, [6, 2, 1, 4, 0]), (15, [3, 15])):
        x, counts = torch.randn(steps, len(lengths), 3), torch.tensor(lengths)
        scores = model((x,), counts).detach()
        tags = run(x, counts)
        best = field.decode(scores, counts)
        for row, length in enumerate(lengths):
            assert tags[:length, row].tolist() == best[:length, row].tolist()
            chosen_alone += int((scores[:length, row].argmax(1) != best[:length, row]).sum())
    assert chosen_alone > 10


def _onnx_program(program: Program, path: Path) -> Callable[..., Tensor]:
    onnx._write(program, path, {})
    return lambda x, lengths: torch.from_numpy(in_onnx_runtime(path, {"inputs": x, "lengths": lengths})["tags"])


def _pt2_program(program: Program, path: Path) -> Callable[..., Tensor]:
    pt2._write(program, path)
    loaded = torch.export.load(path).module()
    return lambda x, lengths: loaded(x, lengths)[program.outputs.index("tags")]


def test_forecasts_step_by_step(runs: Callable[[str], Trained], tmp_path: Path) -> None:
    run: Any = runs("forecast")
    path = tmp_path / "m.onnx"
    export(run, "onnx", path, streaming=True)
    last, width = [], run.predictor.buffer_width
    for one in of_series(run):
        future = {name: value[None] for name, value in one.items() if name.startswith("future_")}
        states = {"last_values": np.full((1, width), np.nan), "change_logs": np.zeros(1), "change_counts": np.zeros(1)}
        states |= {f"state_{index}": np.zeros((1, 1, 8), "f") for index in range(2)}
        for step in range(len(one["values"])):
            steps = {name: one[name][step : step + 1] for name in one if name not in future}
            forecasts, *new = in_onnx_runtime(path, {**steps, **future, **states}).values()
            states = dict(zip(states, new, strict=True))
        last.append(forecasts[0])
    check_forecasts(np.stack(last), run, path)


class InFloat64(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        kept = x.nanmedian(1, keepdim=True)
        return x.asinh(), x.nanmedian(0).values, kept.values


def test_operators_that_onnx_lacks(tmp_path: Path) -> None:
    path, nan = tmp_path / "m.onnx", float("nan")
    gatewise.to_onnx(InFloat64(), (torch.randn(3, 4).double(),), path, translations=TRANSLATIONS)
    rows = [[1e-9, -2.5, nan, nan], [nan, 1e-3, 3e9, nan], [-1e200, 4.0, 7e20, nan], [5.0, -0.25, nan, nan]]
    x = torch.tensor([*rows, [nan] * 4], dtype=torch.float64)
    for found, expected in zip(in_onnx_runtime(path, {"x": x}).values(), InFloat64()(x), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-15)


def of_model(model: Any, name: str = "classify") -> Any:
    return SimpleNamespace(model=model.eval(), name=name)


def tagger(**options: Any) -> Tagger:
    return Tagger(nn.Identity(), Encoder("gru_cudnn", 3, 4, **options), 5)


def test_taggers_and_classifiers_step_by_step() -> None:
    lengths = torch.tensor([5, 5])
    last = Classifier(nn.Identity(), Encoder("lstm", 3, 4, 2), "last", 5)
    direct = Tagger(nn.Identity(), Encoder("gru_cudnn", 3, 4, 2), 5, direct=2)
    for model, width in ((tagger(num_layers=2), 3), (last, 3), (direct, 3 + 2 * 5)):
        x = torch.randn(5, 2, width)
        (program,) = programs_of(of_model(model), streaming=True)
        states = [torch.zeros(2, 2, 4) for _ in program.outputs[1:]]
        for x_t in x:
            scores, *states = program.module(x_t, *states)
        expected = model((x,), lengths)
        torch.testing.assert_close(scores, expected[-1] if isinstance(model, Tagger) else expected)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (tagger(bidirectional=True), "reads sequences from both ends"),
        (Classifier(nn.Identity(), Encoder("lstm", 3, 4), "max", 5), r"pools all steps \(max\)"),
        (Tagger(nn.Identity(), Encoder("lstm", 3, 4), 5, ConditionalRandomField(tag_count=5)), "conditional random"),
        (nn.Linear(2, 2), r"models of the task x \(Linear\) have no program"),
    ],
)
def test_what_has_no_steps(model: nn.Module, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        programs_of(of_model(model, "x"), streaming=True)


def test_refusals_name_the_format(runs: Callable[[str], Trained], tmp_path: Path) -> None:
    for task, to, message in (
        ("seq2seq", "onnx", "the decoder of a seq2seq model is exported as one step"),
        ("tag", "pt2", "reads sequences from both ends"),
        ("lm", "safetensors", "--streaming is for programs"),
    ):
        with pytest.raises(ValueError, match=f"^--to {to}: .*{message}"):
            export(runs(task), to, tmp_path / "m.bin", streaming=True)
    assert not list(tmp_path.iterdir())


def test_the_second_part_fails(runs: Callable[[str], Trained], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is left then."""
    monkeypatch.setattr(Native, "rows", lambda self, cell, group, size: np.zeros(3 * size, np.int64))
    with pytest.raises(ValueError, match=r"--to onnx: output 0 in ONNX Runtime differs .*; nothing was written"):
        export(runs("seq2seq"), "onnx", tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("task", ["classify", "tag", "seq2seq", "forecast"])
def test_pt2(task: str, runs: Callable[[str], Trained], tmp_path: Path) -> None:
    report = export(runs(task), "pt2", tmp_path / "m.pt2")
    assert sum("equal to the model on random input" in line for line in report) == (2 if task == "seq2seq" else 1)


@pytest.mark.parametrize("attention", ["none", "luong-dot", "luong-general"])
def test_parts_of_decoders(attention: Any) -> None:
    """The two programs together compute what the model does with known answers."""
    encoder = Encoder("gru_cudnn", 4, 3, bidirectional=True)
    decoder = Decoder(
        nn.Embedding(9, 4), "lstm", 6, 2, memory_size=encoder.width, final_size=encoder.final_width, attention=attention
    )
    model = SequenceToSequence(nn.Embedding(8, 4), encoder, decoder)
    first, second = programs_of(of_model(model, "seq2seq"), streaming=False)
    source, lengths = torch.randint(8, (5, 3)), torch.tensor([5, 2, 3])
    given = dict(zip(first.outputs, first.module(source, lengths), strict=True))
    memory = [given.pop(name) for name in ("values", "keys") if name in given]
    assert len(memory) == {"none": 0, "luong-dot": 1, "luong-general": 2}[attention]
    answer, states = torch.randint(9, (4, 3)), list(given.values())
    features, _ = model((source, answer, torch.tensor([4, 4, 4])), lengths)
    for token, feature in zip(answer, features, strict=True):
        scores, *states = second.module(token, *memory, *([lengths] if memory else []), *states)
        torch.testing.assert_close(scores, feature @ decoder.weight.t() + decoder.b_y)
    assert [one.name for one in second.inputs][-2:] == ["state_0", "state_1"]
