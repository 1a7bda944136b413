"""Training sequence to sequence: the job that its options describe."""

from statistics import median
from typing import Any

from gatewise.data.batches import spread
from gatewise.data.pairs import Pair
from gatewise.data.vocabulary_file import read_parts, to_json
from gatewise.progress import say
from gatewise.tasks.measure import Measure
from gatewise.tasks.memory import planned
from gatewise.tasks.run_folder import RunFolder
from gatewise.tasks.sequence_to_sequence.baselines import FrequentWords
from gatewise.tasks.sequence_to_sequence.corpus import read_corpus
from gatewise.tasks.sequence_to_sequence.module import SequenceToSequenceModule
from gatewise.tasks.sequence_to_sequence.network import answered, make_batches, make_model, outcome_of
from gatewise.tasks.sequence_to_sequence.options import DOCSTRINGS, SequenceToSequenceOptions
from gatewise.tasks.sequence_to_sequence.text_side import KINDS, TextSide, numbered, parts_of, sides_of_parts
from gatewise.tasks.sequence_to_sequence.trained import TrainedSequenceToSequence
from gatewise.tasks.task import Job, Task, cost_of
from gatewise.tasks.time_limit import Trial

_SEARCHED = 32
"""Sources of a trial of searching."""


def prepare(options: SequenceToSequenceOptions, folder: RunFolder | None) -> Job:
    """The job of training sequence to sequence, see `Prepare`."""
    corpus = read_corpus(options)
    parts = _learn(options, corpus.training) if folder is None else _read(folder)
    source, target = sides_of_parts(parts)
    sources, targets = numbered(source, target, corpus.training, options.longest)
    kept = [place for place, answer in enumerate(targets) if len(answer) <= options.longest]
    if not kept:
        raise ValueError(f"longest: no target has at most {options.longest} tokens (unit {options.unit}); raise it")
    model = planned(lambda: make_model(options, source, target), options, folder)
    batches = make_batches(
        [sources.numbers[place] for place in kept], [targets[place] for place in kept], options.batch, options.seed
    )
    module = SequenceToSequenceModule(
        model,
        outcome_of(model, options.label_smoothing),
        options,
        Measure("token_accuracy", "tokens"),
        total_steps=options.steps(len(batches)),
    )
    seen = set(corpus.training)
    for name, pairs in corpus.scored.items():
        again = sum(pair in seen for pair in pairs)
        if folder is None and again:
            say(f"warning: {again:,} of {len(pairs):,} pairs of {name.replace('_', ' ')} are in the training data too")
    scored, scored_targets = numbered(source, target, corpus.deciding, options.longest)
    sample = [scored.numbers[place] for place in spread(len(scored.numbers), min(_SEARCHED, len(scored.numbers)))]
    # A network that has learned little does not end its answers; one that has ends them as the targets end.
    longest = min(options.longest, 2 * int(median(map(len, scored_targets))))
    search = {"beam": options.beam, "longest": longest, "penalty": options.length_penalty}
    trial = Trial(
        lambda: answered(model, sample, target.end, **search),
        sum(map(len, corpus.scored.values())) / len(sample),
    )
    sizes = [f"{side.vocabulary.size:,}" for side in dict.fromkeys((source, target))]
    return Job(
        options,
        module,
        batches,
        make_batches(scored.numbers, scored_targets, options.batch),
        to_json(parts),
        corpus.source,
        corpus.hashes,
        (
            corpus.summary,
            f"vocabulary: {' and '.join(sizes)} tokens (unit {options.unit}, {options.vocabulary})",
            f"tokens: sources {sum(map(len, sources.numbers)):,}, targets {sum(map(len, targets)):,}",
            f"longest, {options.longest} tokens: {sources.cut:,} sources have more, whose rest is not read; left out: "
            f"{len(targets) - len(kept):,} pairs whose target has more",
        ),
        corpus.scored,
        cost_of(corpus.scored),
        trial,
    )


def _learn(options: SequenceToSequenceOptions, pairs: list[Pair]) -> dict[str, Any]:
    texts = [[pair[side] for pair in pairs] for side in (0, 1)]
    if options.vocabulary == "shared":
        source = target = TextSide.learn(options.unit, texts[0] + texts[1], options.vocabulary_size)
    else:
        source, target = (TextSide.learn(options.unit, side, options.vocabulary_size) for side in texts)
    words = FrequentWords.learn(texts[1]) if options.builtin == DOCSTRINGS else None
    return {**parts_of(source, target), "frequent_words": words}


def _read(folder: RunFolder) -> dict[str, Any]:
    return read_parts(folder.vocabulary, *KINDS, FrequentWords)


TASK = Task(prepare, TrainedSequenceToSequence)
