"""A folder of C++ with a C interface, which runs without Python and torch."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gatewise import runtime
from gatewise.data.scaling import Scaling
from gatewise.interchange.c.building import build
from gatewise.interchange.c.description import Array, Forecast, Model, Scaled
from gatewise.interchange.c.exporting import check_difference, write_folder
from gatewise.interchange.c.layers import array, layer_parts
from gatewise.interchange.c.quantising import in_precision
from gatewise.kernels import IntegerPrecision
from gatewise.models.category_embedding import CategoryEmbedding
from gatewise.models.classifier import Classifier
from gatewise.models.language_model import LanguageModel
from gatewise.models.tagger import Tagger
from gatewise.models.token_embedding import FeaturedEmbedding, TokenEmbedding
from gatewise.tasks.export import ExportFormat, ExportOptions, ExportPlan
from gatewise.tasks.exports.header import header_of
from gatewise.tasks.feature_reader import FeatureReader
from gatewise.tasks.forecasting.sampling import noise_of_half, path_count
from gatewise.tasks.forecasting.trained import TrainedForecaster
from gatewise.tasks.trained import Trained
from gatewise.tasks.trained_on_sequences import TrainedOnSequences

_TOKENS = """
## Tokens

`vocabulary.json` is the vocabulary of the run, and `config.toml` says what a token is (`unit`). A token's number is its
place in the list `tokens`, whose first stands for unknown ones. The program around the model divides texts into words,
puts them in lower case (`lower`) and reads their digits as 0 (`digits`). A step has as many tokens as the model has
embeddings: the word or character, then its further features in their order.
"""
_VALUES = """
## Values

A step has the values of the features in the order of training, in their own units; NaN is a missing one. The model
scales them. Categories are tokens: places in the lists of `vocabulary.json`, in the order of their columns.
"""
_FORECASTS = """
## Forecasts

The first value of a step is that of the series, NaN where it is missing, but not at its first step; the others are its
covariates. All are in their own units. The numbers of a step are those of the calendar: `cycles` in `model.json` has
what they are, the sine and the cosine of each. Categories are tokens, whose numbers are their places in the lists of
`vocabulary.json`. A call has whole series, and `further` the covariates and tokens of the steps to come, of each step
before the next; where `paths` in `model.json` is not 0, each step is forecast from values drawn for those before it,
along that many paths, and the numbers of the calendar come before the covariates of a step. The output has for each
step the quantiles `levels` of `model.json`, in the units of the series.
"""
_LABELS = """
Answers are places in the list `labels` of `model.json`.
"""


def _plan(trained: Trained, out: Path, options: ExportOptions) -> ExportPlan:
    if options.opset is not None:
        raise ValueError("--opset is for onnx")
    if options.streaming:
        raise ValueError("--streaming is for onnx and pt2; in C every model of one direction continues from its state")
    model = in_precision(model_of_run(trained), options.precision)
    folder = trained.folder
    more = {
        "vocabulary.json": folder.vocabulary.read_text(encoding="utf-8"),
        "config.toml": folder.config.read_text(encoding="utf-8"),
    }
    further = (_FORECASTS if model.forecast else _VALUES if model.values else _TOKENS) + (
        _LABELS if "labels" in model.details else ""
    )

    def write(paths: Sequence[Path]) -> list[str]:
        (path,) = paths
        write_folder(model, path, more=more, further=further)
        if not options.build:
            return []
        library = build(path, "model")
        found = [f"{library.name}: {library.stat().st_size:,} bytes"]
        if model.forecast is None:
            difference = largest_difference(trained, path, options.precision)
            found.append(f"equal to the model on random input: largest error {difference:.1e}, relative above 1")
        return found

    return ExportPlan((out,), f"from gatewise import runtime\n\nmodel = runtime.load({out.name!r})", write)


def model_of_run(trained: Trained) -> Model:
    """What the C runtime computes of a run.

    Raises:
        ValueError: for a model with parts that it does not have.
    """
    model, details = trained.model, _details(trained)
    if isinstance(model, LanguageModel):
        table = array(model.embedding.weight)
        weight = table if model.W_hy is None else array(model.W_hy)
        return Model(
            tuple(layer_parts(model.recurrent)),
            embeddings=(table,),
            read_out=(weight, array(model.b_y)),
            answers=True,
            details=details,
        )
    if isinstance(trained, TrainedForecaster):
        return _forecaster(trained, details)
    if not isinstance(model, Classifier | Tagger):
        raise ValueError(
            f"models of the task {trained.name} are not exported whole; gatewise.to_c exports their recurrent layers"
        )
    if isinstance(model, Tagger) and model.direct:
        raise ValueError("connections from features to the output (--feature-connections output) have no C++")
    layers = tuple(layer_parts(model.encoder.recurrent))
    scaling = _reader_of(trained).scaling if isinstance(model.steps, nn.Identity | CategoryEmbedding) else None
    shared: dict[str, Any] = {
        "values": () if scaling is None else _scaled(scaling),
        "embeddings": _embeddings(model.steps),
        "read_out": (array(model.read_out.weight), array(model.read_out.bias)),
        "answers": "labels" in details,
        "details": details,
    }
    if isinstance(model, Classifier):
        score = model.pooling.score
        attention = None
        if score is not None:
            first, _, last = score
            assert isinstance(first, nn.Linear)
            assert isinstance(last, nn.Linear)
            attention = array(first.weight), array(first.bias), array(last.weight)
        return Model(layers, whole=True, pool=model.pooling.kind, attention=attention, **shared)
    field = model.transitions
    transitions = None if field is None else array(field.table(model.read_out.weight.dtype))
    whole = field is not None or model.encoder.recurrent.bidirectional
    return Model(layers, whole=whole, transitions=transitions, **shared)


def _forecaster(trained: TrainedForecaster, details: dict[str, Any]) -> Model:
    """What the runtime computes of a network of forecasts."""
    network, output, preprocessing, levels, recursive, calibration = trained.predictor
    paths = path_count(output) if recursive else 0
    kind = trained.options.output
    assert kind is not None
    assert output.size == network.outputs
    future = network.future
    after = () if future is None else (future.of_state.weight, future.of_state.bias, future.of_future.weight)
    steps = torch.special.ndtri(torch.tensor(levels, dtype=network.blend.dtype))
    forecast = Forecast(
        kind,
        preprocessing.window,
        preprocessing.season,
        preprocessing.horizon,
        output.size,
        network.located,
        levels,
        tuple(steps.tolist()),
        array(network.blend),
        None if calibration is None else tuple(calibration.moves.flatten().tolist()),
        () if future is None else (*map(array, after), array(future.read_out.weight)),
        paths,
        array(noise_of_half(paths, preprocessing.horizon).to(network.blend)) if paths > 1 else None,
    )
    return Model(
        tuple(layer_parts(network.encoder.recurrent)),
        numbers=2 * len(preprocessing.cycles),
        values=_scaled(preprocessing.covariates),
        embeddings=_embeddings(nn.Identity() if network.categories is None else network.categories),
        whole=True,
        pool="last",
        read_out=(array(network.read_out.weight), array(network.read_out.bias)),
        forecast=forecast,
        details={
            **details,
            "levels": levels,
            "horizon": preprocessing.horizon,
            "cycles": preprocessing.cycles,
            "paths": paths,
        },
    )


def _reader_of(trained: Trained) -> FeatureReader:
    assert isinstance(trained, TrainedOnSequences)
    return trained.reader


def _scaled(scaling: Scaling) -> tuple[Scaled, ...]:
    divisors = [deviation if deviation > 0 else 1.0 for deviation in scaling.deviations.tolist()]
    return tuple(
        Scaled(mean, divisor, scaling.missing.index(index) if index in scaling.missing else -1)
        for index, (mean, divisor) in enumerate(zip(scaling.means.tolist(), divisors, strict=True))
    )


def _embeddings(steps: nn.Module) -> tuple[Array, ...]:
    """The tables of the tokens of a step.

    Raises:
        ValueError: for words whose spellings are read too.
    """
    if isinstance(steps, FeaturedEmbedding):
        found = [steps.tokens, *steps.features]
    elif isinstance(steps, CategoryEmbedding):
        found = list(steps.categories)
    else:
        found = [] if isinstance(steps, nn.Identity) else [steps]
    tables: list[Array] = []
    for one in found:
        assert isinstance(one, TokenEmbedding)
        if one.spelling is not None:
            raise ValueError(
                "this model reads the characters of words, which is not exported; train with --spelling none, or "
                "export its recurrent layers with gatewise.to_c"
            )
        tables.append(array(one.embedding.weight))
    return tuple(tables)


def _details(trained: Trained) -> dict[str, Any]:
    """What is known of the run as JSON values: the task, labels, normalisation and the like."""
    header = header_of(trained)
    return {
        "task": header["task"],
        **{name: json.loads(value) for name, value in header.items() if name not in _TEXTS},
    }


_TEXTS = ("gatewise", "task", "config", "vocabulary")


def largest_difference(trained: Trained, folder: Path, precision: IntegerPrecision | None = None) -> float:
    """Between the library of a folder and the model of a run, on random input, both in this precision.

    Raises:
        ValueError: when it is more than rounding.
    """
    steps, rows = 7, 3
    draw = torch.Generator().manual_seed(0)
    description, module = model_of_run(trained), trained.model
    sizes = [len(table) for table in description.embeddings]
    drawn = [torch.randint(0, size, (steps, rows, 1), generator=draw) for size in sizes]
    tokens = torch.cat(drawn, -1) if drawn else None
    lengths = torch.tensor([steps, 1, steps - 2])
    given: dict[str, Any] = {} if tokens is None else {"tokens": tokens.numpy()}
    parts: list[Tensor] = []
    if description.values:
        scaled = torch.randn(steps, rows, len(description.values), generator=draw, dtype=torch.float64)
        missing = [index for index, one in enumerate(description.values) if one.flag >= 0]
        gone = torch.rand(steps, rows, len(missing), generator=draw) < 0.5
        means, divisors = (
            torch.tensor([getattr(one, name) for one in description.values], dtype=torch.float64)
            for name in ("mean", "divisor")
        )
        values = scaled * divisors + means
        values[..., missing] = values[..., missing].where(~gone, torch.nan)
        given["values"] = values.numpy()
        read = ((values - means) / divisors).nan_to_num(0.0)
        parts.append(torch.cat((read, gone.to(read)), -1).to(next(module.parameters())))
    if tokens is not None:
        parts += (
            [tokens[..., 0], tokens[..., 1:]]
            if isinstance(getattr(module, "steps", None), FeaturedEmbedding)
            else [tokens]
            if parts
            else [tokens[..., 0]]
        )
    with torch.no_grad(), trained.in_precision(precision):
        if isinstance(module, LanguageModel):
            expected = module(parts[0])[0].numpy()
        else:
            expected = module(tuple(parts), lengths).numpy()
            given["lengths"] = lengths.numpy()
    found = runtime.load(folder, max_batch=rows, chunk=steps).run(**given)
    difference = float((np.abs(found - expected) / np.maximum(np.abs(expected), 1)).max())
    check_difference(difference, precision, "model")
    return difference


EXPORT = ExportFormat(_plan, writes_folder=True, is_code=True)
