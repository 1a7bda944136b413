"""Training sequence to sequence: the job that its options describe."""

import dataclasses
import itertools
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from operator import itemgetter
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatewise.data.batches import spread
from gatewise.data.mapped import Mapped
from gatewise.data.pairs import Pair
from gatewise.data.vocabulary_file import read_parts, to_json
from gatewise.progress import say
from gatewise.tasks.examples import Examples, read_examples
from gatewise.tasks.measure import Measure
from gatewise.tasks.memory import make_checked
from gatewise.tasks.run_folder import RunFolder
from gatewise.tasks.sequence_to_sequence.baselines import FrequentWords
from gatewise.tasks.sequence_to_sequence.corpus import paired_data
from gatewise.tasks.sequence_to_sequence.module import SequenceToSequenceModule
from gatewise.tasks.sequence_to_sequence.network import make_batches, make_model, search_answers, statistics_of
from gatewise.tasks.sequence_to_sequence.options import DOCSTRINGS, SequenceToSequenceOptions
from gatewise.tasks.sequence_to_sequence.text_side import KINDS, TextSide, encode_pairs, parts_of, sides_of_parts
from gatewise.tasks.sequence_to_sequence.trained import TrainedSequenceToSequence
from gatewise.tasks.task import Job, Task, cost_of
from gatewise.tasks.time_limit import Trial
from gatewise.tasks.token_rows import sample_of

_SEARCHED = 32
"""Sources of a trial of searching."""


def prepare(options: SequenceToSequenceOptions, folder: RunFolder | None) -> Job:
    """The job of training sequence to sequence, see `Prepare`."""
    corpus = read_examples(options, paired_data(options), None if folder is None else folder.hashes())
    options = dataclasses.replace(options, held_out=corpus.held_out)
    parts, sampled = _learn(options, corpus.training) if folder is None else (_read(folder), "")
    source, target = sides_of_parts(parts)
    training = encode_pairs(source, target, corpus.training, options.longest)
    sources, targets = training.with_targets_up_to(options.longest)
    if not len(targets):
        raise ValueError(f"longest: no target has at most {options.longest} tokens (unit {options.unit}); raise it")
    model = make_checked(lambda: make_model(options, source, target), options, folder)
    batches = make_batches(sources, targets, options.batch, options.seed)
    module = SequenceToSequenceModule(
        model,
        statistics_of(model, options.label_smoothing),
        options,
        Measure("token_accuracy", "tokens"),
        total_steps=options.steps(len(batches)),
    )
    if folder is None:
        _warn_of_repeated_pairs(corpus)
    scored = encode_pairs(source, target, corpus.deciding, options.longest)
    count = len(scored.sources)
    sample = [scored.sources[index] for index in spread(count, min(_SEARCHED, count))]
    # A network that has learned little does not end its answers; one that has ends them as the targets end.
    longest = min(options.longest, 2 * int(median(scored.targets.lengths.tolist())))
    search = {"beam": options.beam, "longest": longest, "penalty": options.length_penalty}
    trial = Trial(
        lambda: search_answers(model, sample, target.end, **search),
        sum(map(len, corpus.scored.values())) / len(sample),
    )
    sizes = [f"{side.vocabulary.size:,}" for side in dict.fromkeys((source, target))]
    return Job(
        options,
        module,
        batches,
        make_batches(scored.sources, scored.targets, options.batch),
        to_json(parts),
        corpus.source,
        corpus.hashes,
        (
            corpus.summary,
            f"vocabulary: {' and '.join(sizes)} tokens (unit {options.unit}, {options.vocabulary}){sampled}",
            f"tokens: sources {training.sources.lengths.sum():,}, targets {training.targets.lengths.sum():,}",
            f"longest, {options.longest} tokens: {training.cut:,} sources have more, whose rest is not read; "
            f"left out: {len(training.targets) - len(targets):,} pairs whose target has more",
        ),
        corpus.scored,
        cost_of(corpus.scored),
        trial,
    )


def _learn(options: SequenceToSequenceOptions, pairs: Sequence[Pair]) -> tuple[dict[str, Any], str]:
    """What a run keeps of the training data, and what tokens were learned from if not from all of it."""
    sample, fact = sample_of(pairs, options.unit)
    texts = [Mapped(sample, itemgetter(side)) for side in (0, 1)]
    if options.vocabulary == "shared":
        source = target = TextSide.learn(options.unit, itertools.chain(*texts), options.vocabulary_size)
    else:
        source, target = (TextSide.learn(options.unit, side, options.vocabulary_size) for side in texts)
    words = FrequentWords.learn(texts[1]) if options.builtin == DOCSTRINGS else None
    return {**parts_of(source, target), "frequent_words": words}, fact


def _warn_of_repeated_pairs(corpus: Examples[Pair]) -> None:
    """Warn of pairs to be scored that are in the training data too."""
    training = _digests(corpus.training)
    for name, pairs in corpus.scored.items():
        again = int(np.isin(_digests(pairs), training).sum())
        if again:
            part = name.replace("_", " ")
            say(f"warning: {again:,} of {len(pairs):,} pairs of {part} are in the training data too")


def _digests(pairs: Iterable[Pair]) -> NDArray[np.uint64]:
    """64 bits for each pair, which are those of another one in no more than a case in a million for 4 million pairs."""
    found = (blake2b("\0".join(pair).encode("utf-8", "surrogatepass"), digest_size=8).digest() for pair in pairs)
    return np.frombuffer(b"".join(found), np.uint64)


def _read(folder: RunFolder) -> dict[str, Any]:
    return read_parts(folder.vocabulary, *KINDS, FrequentWords)


TASK = Task(prepare, TrainedSequenceToSequence)
