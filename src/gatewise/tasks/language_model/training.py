"""Training a language model: the job that its options describe."""

import dataclasses
from contextlib import nullcontext

from gatewise.data.streams import Streams
from gatewise.data.vocabularies import load_vocabulary
from gatewise.formatting import format_bytes
from gatewise.tasks import data_cache, world
from gatewise.tasks.language_model.corpus import read_corpus
from gatewise.tasks.language_model.encoded_corpus import TOKENS, encode_corpus, learn_vocabulary, open_corpus
from gatewise.tasks.language_model.module import LanguageModelModule
from gatewise.tasks.language_model.options import LanguageModelOptions
from gatewise.tasks.language_model.scores import check_length, measure_for, scoring_stream
from gatewise.tasks.language_model.trained import TrainedLanguageModel, make_model
from gatewise.tasks.memory import make_checked
from gatewise.tasks.run_folder import RunFolder
from gatewise.tasks.task import Job, Task, cost_of


def prepare(options: LanguageModelOptions, folder: RunFolder | None) -> Job:
    """The job of training a language model, see `Prepare`."""
    learned_from = ""
    if folder is None:
        read = read_corpus(options)
        options = dataclasses.replace(options, held_out=read.held_out)
        if not read.training.in_memory:
            data_cache.folder_of(TOKENS)  # whether it can be used is found before the long work
        vocabulary, learned_from = learn_vocabulary(read, options)
        with nullcontext() if read.training.in_memory else world.one_at_first():
            corpus = encode_corpus(read, options, vocabulary)
    else:
        vocabulary = load_vocabulary(folder.vocabulary)
        corpus = open_corpus(folder, options, vocabulary)
    needed = options.batch * options.window + 1
    if len(corpus.training) < needed:
        raise ValueError(
            f"the text to train on has {len(corpus.training)} tokens (unit {options.unit}), too short for one window "
            f"of {options.window} steps in each of {options.batch} streams ({needed} tokens); try a smaller window "
            "or batch, or more text"
        )
    for text in corpus.scored.values():
        check_length(text, vocabulary)
    deciding = next(iter(corpus.scored.values()))
    settled = options
    windows = None if options.steps_per_epoch is None else options.steps_per_epoch * options.accumulate
    training = Streams(corpus.training.ids, options.batch, options.window, windows)
    module = LanguageModelModule(
        make_checked(lambda: make_model(settled, vocabulary), options, folder),
        options,
        measure_for(vocabulary, deciding),
        options.steps(len(training)),
        training,
    )
    texts = {"training": corpus.training, **corpus.scored}
    size = vocabulary.dtype.itemsize * sum(map(len, texts.values()))
    return Job(
        options,
        module,
        training,
        scoring_stream(deciding.ids),
        vocabulary.to_json(),
        corpus.source,
        corpus.hashes,
        (
            "characters: " + ", ".join(f"{name.replace('_', ' ')} {text.characters:,}" for name, text in texts.items()),
            f"vocabulary: {vocabulary.size:,} tokens (unit {options.unit}){learned_from}",
            *([] if windows is None else [f"epoch: {windows:,} of {training.windows_of_pass:,} windows of the text"]),
            *([] if corpus.stored is None else [f"tokens: {format_bytes(size)}, mapped from {corpus.stored}"]),
        ),
        corpus.scored,
        cost_of(corpus.scored),
    )


TASK = Task(prepare, TrainedLanguageModel)
