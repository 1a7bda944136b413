"""Training a language model: from options, or on from a run folder."""

import dataclasses
import json
from pathlib import Path

import torch

from gatewise.data.files import atomic_write
from gatewise.data.streams import Streams
from gatewise.data.vocabulary import Vocabulary, build_vocabulary, load_vocabulary
from gatewise.tasks.cells import cell_of
from gatewise.tasks.fitting import fit
from gatewise.tasks.language_model.corpus import Corpus, read_corpus
from gatewise.tasks.language_model.module import LanguageModelModule
from gatewise.tasks.language_model.options import LanguageModelOptions
from gatewise.tasks.language_model.scores import encode, measure_for
from gatewise.tasks.language_model.trained import TrainedLanguageModel, make_model, read_options, read_same_corpus
from gatewise.tasks.options import to_toml
from gatewise.tasks.reporting import say
from gatewise.tasks.run_folder import RunFolder, create, unused
from gatewise.tasks.weights_file import vocabulary_fact


def train(options: LanguageModelOptions) -> TrainedLanguageModel:
    """Train a language model from the beginning and leave a run folder.

    Raises:
        ValueError: for bad data, a text too short for one window, an output folder that is not empty, or training that
            diverges.
        OSError: when a file cannot be read or written.
        KeyboardInterrupt: after Ctrl-C, with the state saved.
    """
    corpus = read_corpus(options)
    vocabulary = build_vocabulary(options.unit, corpus.training, options.vocabulary_size)
    run = _Run(options, corpus, vocabulary)
    cell = cell_of(options.cell)
    folder = create(
        options.out or unused(f"lm-{cell.name}"),
        "lm",
        to_toml(_absolute(options)),
        vocabulary.to_json(),
        {"cell": cell.text, "source": corpus.source, "sha256": corpus.hashes},
    )
    return run.go(folder)


def resume(path: Path, max_minutes: float | None = None) -> TrainedLanguageModel:
    """Go on with a run from its last saved state, as if it had never stopped.

    Args:
        path: the run folder.
        max_minutes: a new limit on training time, counted from the beginning of the run.

    Raises:
        ValueError: when the folder is missing, foreign or corrupt, or the data has changed.
        OSError: when a file cannot be read or written.
        KeyboardInterrupt: after Ctrl-C, with the state saved.
    """
    folder = RunFolder(path)
    options = read_options(folder)
    if max_minutes is not None:
        options = dataclasses.replace(options, max_minutes=max_minutes)
    if folder.scores.exists() and json.loads(folder.scores.read_bytes())["ended_by"] != "max_minutes":
        say(f"{path}: training has ended; nothing to go on with")
        return TrainedLanguageModel(path)
    return _Run(options, read_same_corpus(folder, options), load_vocabulary(folder.vocabulary)).go(folder)


class _Run:
    """Everything that training needs, made and checked before anything is written."""

    def __init__(self, options: LanguageModelOptions, corpus: Corpus, vocabulary: Vocabulary) -> None:
        self._options = options
        self._vocabulary = vocabulary
        tokens = vocabulary.encode(corpus.training)
        needed = options.batch * options.window + 1
        if len(tokens) < needed:
            raise ValueError(
                f"the text to train on has {len(tokens)} tokens (unit {options.unit}), too short for one window of "
                f"{options.window} steps in each of {options.batch} streams ({needed} tokens); try a smaller window "
                "or batch, or more text"
            )
        deciding = next(iter(corpus.scored))
        scored = {name: encode(vocabulary, text) for name, text in corpus.scored.items()}
        self._training = Streams(tokens, options.batch, options.window)
        self._held_out = Streams(scored[deciding], options.batch, options.window)
        torch.manual_seed(options.seed)
        self._module = LanguageModelModule(
            make_model(options, vocabulary),
            options,
            measure_for(options.unit, len(scored[deciding]), len(corpus.scored[deciding])),
            total_steps=options.epochs * len(self._training),
        )
        self._summary = self._summarise(corpus)

    def go(self, folder: RunFolder) -> TrainedLanguageModel:
        say(f"{self._summary}\nrun folder: {folder.path}")
        facts = vocabulary_fact(self._vocabulary.to_json())
        try:
            ended_by = fit(self._module, self._training, self._held_out, self._options, folder, facts)
        except KeyboardInterrupt:
            say(f"stopped; to go on: gatewise train lm --resume {folder.path}")
            raise
        trained = TrainedLanguageModel(folder.path)
        scores = {"ended_by": ended_by, "scores": trained.evaluate()}
        with atomic_write(folder.scores) as file:
            file.write((json.dumps(scores, indent=1) + "\n").encode())
        return trained

    def _summarise(self, corpus: Corpus) -> str:
        options, model = self._options, self._module.model
        parameters = sum(parameter.numel() for parameter in model.parameters())
        texts = {"training": corpus.training, **corpus.scored}
        return "\n".join(
            (
                f"text: {corpus.source}",
                *(f"sha256 of {name}: {value}" for name, value in corpus.hashes.items()),
                "characters: " + ", ".join(f"{name.replace('_', ' ')} {len(text):,}" for name, text in texts.items()),
                f"vocabulary: {self._vocabulary.size:,} tokens (unit {options.unit})",
                f"model: {model.recurrent.cell.name}, {parameters:,} parameters",
                f"training: {options.epochs} epochs of {len(self._training):,} steps",
                "options: "
                + ", ".join(line for line in to_toml(options).splitlines() if not line.startswith("cell = ")),
            )
        )


def _absolute(options: LanguageModelOptions) -> LanguageModelOptions:
    """The options to keep: files by their full names, and no output folder, which another run cannot use again."""
    files = {name: tuple(path.resolve() for path in getattr(options, name)) for name in ("data", "valid", "test")}
    return dataclasses.replace(options, out=None, **files)
