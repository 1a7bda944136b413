"""Training a tagger: the job that its options describe."""

import dataclasses
from collections.abc import Sequence
from operator import itemgetter
from typing import Any

from gatewise.data.columns import TaggedWords
from gatewise.data.labels import Labels, MostFrequent
from gatewise.data.row_tensors import RowTensors
from gatewise.data.vocabulary_file import read_parts, to_json
from gatewise.progress import say
from gatewise.tasks.measure import Measure
from gatewise.tasks.memory import planned
from gatewise.tasks.pretrained_embeddings import set_vectors, with_vectors
from gatewise.tasks.run_folder import RunFolder
from gatewise.tasks.sequence_module import SequenceModule
from gatewise.tasks.tagging.corpus import read_corpus
from gatewise.tasks.tagging.network import make_batches, make_model, outcome_of
from gatewise.tasks.tagging.options import TaggingOptions
from gatewise.tasks.tagging.tag_set import TagSet
from gatewise.tasks.tagging.trained import TrainedTagger, check_parts, encode_sentences, targets_of
from gatewise.tasks.tagging.word_features import learn_reader, reader_of_parts
from gatewise.tasks.task import Job, Task, cost_of
from gatewise.tasks.token_reader import NUMBERS, Mapped, TokenReader
from gatewise.tasks.token_rows import TokenRows, sample_of


def prepare(options: TaggingOptions, folder: RunFolder | None) -> Job:
    """The job of training a tagger, see `Prepare`."""
    corpus = read_corpus(options, None if folder is None else folder.read_description()["sha256"])
    options = dataclasses.replace(options, held_out=corpus.held_out)
    vectors, parts = None, dict[str, Any]()
    sampled = ""
    if folder is None:
        reader, tags, sampled = _learn(options, corpus.training)
        options, vectors = with_vectors(options, reader.vocabulary)
    else:
        parts = read_parts(folder.vocabulary, TagSet)
        reader, tags = reader_of_parts(options, parts), parts["tags"]
    check_parts(tags, corpus.scored)
    training = encode_sentences(reader, tags, corpus.training)
    with_unknown = tags.including(row for _, row in corpus.deciding)
    scored = encode_sentences(reader, with_unknown, corpus.deciding)
    if folder is None:
        written, baseline = _baseline(reader, training, corpus.training)
    else:
        written, baseline = parts.get("written", tags.labels), parts["baseline"]
    settled = options
    model = planned(lambda: make_model(settled, reader, tags), options, folder)
    set_vectors(model.steps, vectors, freeze=options.freeze)
    batches = make_batches(reader, training, targets_of(training), options.batch, options.seed)
    module = SequenceModule(
        model,
        outcome_of(model, with_unknown),
        options,
        Measure(
            "accuracy" if tags.learned is None else "entity_f1",
            "words" if options.unit == "word" else "characters",
            "nats/word" if options.unit == "word" else "nats/character",
        ),
        total_steps=options.steps(len(batches)),
    )
    tokens = {name: sum(len(words) for words, _ in part) for name, part in corpus.scored.items()}
    counts = {"training": int(training.lengths.sum()), **tokens}
    return Job(
        options,
        module,
        batches,
        make_batches(reader, scored, targets_of(scored), options.batch),
        to_json({**reader.parts, "tags": tags, "written": written, "baseline": baseline}),
        corpus.source,
        corpus.hashes,
        (
            corpus.summary,
            "tokens: " + ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in counts.items()),
            f"tags: {tags.labels.size}" + (f" (scheme {tags.learned})" if tags.learned else ""),
            f"{reader.summary}{sampled}",
        ),
        corpus.scored,
        2 * cost_of(corpus.scored),  # read for the loss, and for the tags
    )


def _learn(options: TaggingOptions, examples: Sequence[TaggedWords]) -> tuple[TokenReader, TagSet, str]:
    """The tokens and tags of the training data, and what the tokens were learned from if not from all of it."""
    sample, fact = sample_of(examples, options.unit)
    reader = learn_reader(options, Mapped(sample, itemgetter(0)))
    # E- and S- depend on the next word, which one direction has not read.
    auto = "bioes" if options.bidirectional else "bio"
    if options.scheme == "bioes" and options.output == "softmax" and not options.bidirectional:
        say("warning: scheme bioes: its tags E- and S- need a word that one direction has not read yet; bio does not")
    return reader, TagSet.learn(Mapped(examples, itemgetter(1)), options.scheme, auto), fact


def _baseline(reader: TokenReader, rows: TokenRows, examples: Sequence[TaggedWords]) -> tuple[Labels, MostFrequent]:
    """The tags as the data has them, and the most frequent one of each token."""
    written = Labels.learn(tag for _, tags in examples for tag in tags)
    pairs = (
        (number, written.number(tag))
        for numbers, (_, tags) in zip(RowTensors(rows.store, NUMBERS), examples, strict=True)
        for number, tag in zip(numbers.tolist(), tags, strict=True)
    )
    return written, MostFrequent.learn(pairs, reader.vocabulary.size)


TASK = Task(prepare, TrainedTagger)
