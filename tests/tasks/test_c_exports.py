"""Trained runs as C: the library answers as the run does, from its files alone."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import gatewise
from gatewise import runtime
from gatewise.interchange.c.building import build
from gatewise.kernels import Precision
from gatewise.tasks.export import export
from gatewise.tasks.exports import c
from gatewise.tasks.numeric.corpus import read_sequences
from tests.combinations import ALL
from tests.interchange.c.exported import compiler
from tests.kernels.engine import needs_engine
from tests.tasks.numeric.test_categories import OPTIONS as NUMERIC
from tests.tasks.numeric.test_categories import rows, table
from tests.tasks.small import SMALL as LANGUAGE_MODEL
from tests.tasks.small import TEXT
from tests.tasks.small_sequences import SMALL, labelled_texts, small_tokens
from tests.tasks.tagging.test_word_features import featured_words

pytestmark = pytest.mark.skipif(compiler() is None, reason="there is no C++ compiler")

WORDS = small_tokens(spelling="none")
FEATURED = {"output": "crf", "feature_columns": ["2", "3"], "feature_size": 4}


def exported(
    task: str, data: Path, options: dict[str, Any], folder: Path, precision: Precision | None = None
) -> tuple[Any, runtime.Model, Path]:
    """A run, with transitions that matter more than those of a short training, and an instance of its export."""
    run = gatewise.train(task, data=data, out=folder / "run", **options)
    for name, values in run.model.named_parameters():
        if name.startswith("transitions."):
            torch.nn.init.normal_(values, generator=torch.Generator().manual_seed(0))
    out = folder / "run" / "c"
    assert export(run, "c", None, precision=precision) == [f"written: {out}", f"model card: {out}.md"]
    build(out, "model", options=("-O0",), sets=("plain",))
    assert c.largest_difference(run, out, precision) < (1e-5 if precision is None else 0.05)
    return run, runtime.load(out, max_batch=4, chunk=64), out


def numbers_of(vocabulary: dict[str, Any], words: list[str]) -> list[int]:
    """As the page of the folder says."""
    tokens = vocabulary["tokens"]
    return [tokens.index(word) if word in tokens else 0 for word in (word.lower() for word in words)]


def test_a_tagger_answers_as_its_run(tmp_path: Path) -> None:
    """With further features of words, in both directions, decided by a conditional random field."""
    run, model, _ = exported("tag", featured_words(tmp_path), {**SMALL, **WORDS, **FEATURED}, tmp_path)
    sentences = [
        [tuple(word.split()[:3]) for word in one.splitlines()]
        for one in (tmp_path / "run" / ".." / run.options.data[0]).read_text().strip().split("\n\n")
    ][:40]
    expected = [one.tags for one in run.predict(sentences)]
    found = []
    for sentence in sentences:
        (tokens, features), _ = run.reader.batch([run.reader.read(sentence)])
        answer = model.answer(tokens=np.concatenate([tokens.numpy()[..., None], features.numpy()], -1), softmax=True)
        assert answer.answers is not None
        assert answer.softmax is not None
        np.testing.assert_allclose(answer.softmax.sum(-1), 1, rtol=1e-6)
        found.append([model.facts["labels"][tag] for tag in answer.answers[:, 0]])
    assert found == expected
    assert len({tuple(tags) for tags in found}) > 5


def test_a_classifier_answers_as_its_run(tmp_path: Path) -> None:
    """From words by the vocabulary in the folder, several of different lengths at once."""
    options = {**SMALL, **WORDS, "pooling": "attention", "lower": True}
    run, model, folder = exported("classify", labelled_texts(tmp_path), options, tmp_path)
    vocabulary = json.loads((folder / "vocabulary.json").read_text())["tokens"]
    texts = [f"it was a {word} , film" for word in ("great", "Awful", "fine", "unheardof")] + ["dull", "lovely film"]
    for index in (0, 2):
        some = texts[index : index + 4]
        tokens = [numbers_of(vocabulary, text.split()) for text in some]
        lengths = [len(one) for one in tokens]
        padded = np.zeros((max(lengths), len(some)), np.int64)
        for row, one in enumerate(tokens):
            padded[: len(one), row] = one
        answer = model.answer(tokens=padded[..., None], lengths=lengths, softmax=True)
        assert answer.answers is not None
        assert answer.softmax is not None
        expected = run.predict(some)
        assert [model.facts["labels"][label] for label in answer.answers] == [one.label for one in expected]
        wanted = [list(one.probabilities.values()) for one in expected]
        np.testing.assert_allclose(answer.softmax, wanted, rtol=1e-5)


def test_numbers_are_scaled_and_may_be_missing(tmp_path: Path) -> None:
    """A label for a sequence of values in their own units, with categories beside them."""
    run, model, folder = exported("numeric", table(tmp_path / "a.csv", rows()), NUMERIC, tmp_path)
    columns = json.loads((folder / "vocabulary.json").read_text())["categories"]["columns"]
    examples = read_sequences(run.options, run.options.data)[:8]
    for example, expected in zip(examples, run.head.predict(run.model, run.reader, examples), strict=True):
        tokens = np.array([numbers_of(columns[name], list(example.categories[name])) for name in columns]).T
        answer = model.answer(values=example.steps, tokens=tokens, softmax=True)
        assert answer.softmax is not None
        assert model.facts["labels"][int(answer.answers)] == expected.label
        np.testing.assert_allclose(answer.softmax, list(expected.probabilities.values()), rtol=1e-5)


def test_a_language_model_continues_from_its_state(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text(TEXT)
    run, model, _ = exported("lm", path, {**LANGUAGE_MODEL, "cell": "gru_chung2014"}, tmp_path)
    tokens = run.vocabulary.encode("the lazy dog,\nand")[:, None]
    with torch.no_grad():
        expected = run.model(tokens)[0][:, 0].numpy()
    first = model.run(tokens=tokens[:5, 0].numpy())
    rest = [model.step(tokens=token.numpy()) for token in tokens[5:]]
    np.testing.assert_allclose(np.concatenate([first, np.stack(rest)]), expected, rtol=1e-5, atol=1e-5)
    with pytest.raises(
        ValueError, match=f"tokens: expected 0 to {model.facts['outputs'] - 1}, got -1 at step 0 of row 0"
    ):
        model.step(tokens=[-1])


@needs_engine
def test_a_language_model_in_8_bit_integers(tmp_path: Path) -> None:
    """Compiled for another instruction set than the engine's, so that some values round the other way."""
    path = tmp_path / "text.txt"
    path.write_text(TEXT)
    run, model, _ = exported("lm", path, LANGUAGE_MODEL, tmp_path, "int8")
    tokens = run.vocabulary.encode("the lazy dog,\nand")[:, None]
    with torch.no_grad(), run.in_precision("int8"):
        expected = run.model(tokens)[0][:, 0].numpy()
    with torch.no_grad():
        floats = run.model(tokens)[0][:, 0].numpy()
    found = np.stack([model.step(tokens=token.numpy()) for token in tokens])
    assert np.abs(found - expected).max() < 0.05
    assert np.median(np.abs(found - expected)) < 1e-5 < np.median(np.abs(floats - expected))


def test_what_cannot_be_exported(tmp_path: Path) -> None:
    run = gatewise.train("classify", data=labelled_texts(tmp_path), out=tmp_path / "run", **{**SMALL, "epochs": 1})
    with pytest.raises(ValueError, match="--to c: this model reads the characters of words, which is not exported"):
        export(run, "c", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    for options, message in (
        ({"streaming": True}, "--to c: --streaming is for onnx and pt2"),
        ({"opset": 18}, "--to c: --opset is for onnx"),
    ):
        with pytest.raises(ValueError, match=message):
            export(run, "c", tmp_path / "out", **options)
    with pytest.raises(ValueError, match="--to onnx: name the file to write with --out"):
        export(run, "onnx", None)
    with pytest.raises(ValueError, match="--to onnx: --build is for c"):
        export(run, "onnx", tmp_path / "out", build=True)
    with pytest.raises(ValueError, match="--to onnx: --precision is for c, and this format holds"):
        export(run, "onnx", tmp_path / "out", precision="int8")
    with pytest.raises(ValueError, match="exists already; remove it, or choose another --out"):
        export(run, "c", tmp_path)


@pytest.mark.parametrize(
    ("strategy", "output"),
    [("direct", "quantile"), ("recursive", "gaussian"), *([("recursive", "point"), ("direct", "gaussian")] * ALL)],
)
def test_forecasts_of_series(tmp_path: Path, strategy: str, output: str) -> None:
    """Of values in their own units, some of them missing, with covariates, categories and what is known ahead.

    One series does not change in its last window, whose scale is that of a usual change before.
    """
    draw = np.random.default_rng(0)
    lines = ["t,shop,price,weather,v"]
    for shop, size in (("north", 10), ("south", 40)):
        for step in range(104):
            value = "" if step in (20, 99) else f"{size + 3 * np.sin(step / 2) + draw.normal():.3f}"
            value = "42" if value and shop == "south" and step > 86 else value
            known = f"2024-01-01T{step % 24:02}:00".replace("01T", f"{1 + step // 24:02}T")
            lines.append(
                f"{known},{shop},{draw.normal():.3f},{draw.choice(['rain', 'sun'])},{value if step < 100 else ''}"
            )
    path = tmp_path / "series.csv"
    path.write_text("\n".join(lines) + "\n")
    options = {
        "epochs": 2,
        "hidden": 6,
        "series_column": "shop",
        "covariate_columns": ["price"],
        "categorical": ["weather"],
        "category_size": 3,
        "horizon": 3,
        "season": 4,
        "window": 12,
        "strategy": strategy,
        "output": output,
    }
    run = gatewise.train("forecast", data=path, out=tmp_path / "run", **options)
    out = tmp_path / "run" / "c"
    export(run, "c", None)
    build(out, "model", options=("-O0",), sets=("plain",))
    model = runtime.load(out, max_batch=2, chunk=128)
    preprocessing = run.preprocessing
    series = run._corpus().series
    given: dict[str, list[np.ndarray]] = {"values": [], "numbers": [], "tokens": [], "further": []}
    for one in series:
        count = len(one)
        known = preprocessing.known(one, 0, count + 3).numpy()
        covariates = np.asarray(one.covariates)
        calendar = known.shape[1] - preprocessing.future_size
        given["values"].append(np.column_stack([one.values, covariates[:count, :1]]))
        given["numbers"].append(known[:count, :calendar])
        given["tokens"].append(covariates[:count, 1:].astype(np.int64))
        to_come = covariates[count : count + 3]
        given["further"].append(to_come if strategy == "direct" else np.hstack([known[count:, :calendar], to_come]))
    arrays = {name: np.stack(of_series, 0 if name == "further" else 1) for name, of_series in given.items()}
    found = model.run(**arrays).reshape(2, 3, -1)
    for quantiles, expected in zip(found, run.predict(), strict=True):
        others = expected.quantiles.values()
        wanted = np.array([*list(others)[:1], expected.values, *list(others)[1:]]).T
        np.testing.assert_allclose(quantiles, wanted, rtol=1e-5)
    arrays["values"][0, 1, 0] = np.nan
    with pytest.raises(ValueError, match="values: expected a first value of the series of row 1, got NaN"):
        model.run(**arrays)
