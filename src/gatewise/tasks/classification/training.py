"""Training a classifier: the job that its options describe."""

import dataclasses
from collections.abc import Sequence
from operator import itemgetter

from gatewise.data.labelled_texts import LabelledText
from gatewise.data.scaling import Scaling
from gatewise.data.vocabulary_file import read_parts, to_json
from gatewise.tasks.classification.corpus import read_corpus
from gatewise.tasks.classification.network import make_batches, make_model
from gatewise.tasks.classification.options import ClassificationOptions
from gatewise.tasks.classification.target import Target
from gatewise.tasks.classification.targets import learn_target, target_of_parts
from gatewise.tasks.classification.trained import (
    TrainedClassifier,
    check_parts,
    encode_texts,
    targets_of,
    written_targets,
)
from gatewise.tasks.measure import Measure
from gatewise.tasks.memory import planned
from gatewise.tasks.pretrained_embeddings import set_vectors, with_vectors
from gatewise.tasks.run_folder import RunFolder
from gatewise.tasks.sequence_module import SequenceModule
from gatewise.tasks.task import Job, Task, cost_of
from gatewise.tasks.token_reader import Mapped, TokenReader, notice_of_cut
from gatewise.tasks.token_rows import sample_of


def prepare(options: ClassificationOptions, folder: RunFolder | None) -> Job:
    """The job of training a classifier, see `Prepare`."""
    corpus = read_corpus(options, None if folder is None else folder.read_description()["sha256"])
    options = dataclasses.replace(options, held_out=corpus.held_out)
    sampled = ""
    if folder is None:
        reader, target, sampled = _learn(options, corpus.training)
    else:
        reader, target = _read(options, folder)
    vectors = None
    if folder is None:
        options, vectors = with_vectors(options, reader.vocabulary)
    check_parts(target, corpus.scored)
    training, scored = (
        encode_texts(reader, target, part, options.longest) for part in (corpus.training, corpus.deciding)
    )
    settled = options
    model = planned(lambda: make_model(settled, reader, target.size), options, folder)
    set_vectors(model.steps, vectors, freeze=options.freeze)
    targets = targets_of(training)
    batches = make_batches(reader, training, targets, options.batch, options.seed)
    module = SequenceModule(
        model,
        target.outcome_of(model, targets),
        options,
        Measure(
            target.measure, "words" if options.unit == "word" else "tokens", target.loss_unit, by_loss=target.by_loss
        ),
        total_steps=options.steps(len(batches)),
    )
    return Job(
        options,
        module,
        batches,
        make_batches(reader, scored, targets_of(scored), options.batch),
        to_json({**reader.parts, **target.parts}),
        corpus.source,
        corpus.hashes,
        (
            corpus.summary,
            target.summary,
            f"{reader.summary}{sampled}",
            *filter(None, (notice_of_cut(training.cut, len(training), options.longest),)),
        ),
        corpus.scored,
        cost_of(corpus.scored),
    )


def _learn(options: ClassificationOptions, examples: Sequence[LabelledText]) -> tuple[TokenReader, Target, str]:
    """The tokens and the target of the training data, and what the tokens were learned from if not from all of it."""
    target = learn_target(options, written_targets(examples))
    sample, fact = sample_of(examples, options.unit)
    return TokenReader.learn(options, options.unit, Mapped(sample, itemgetter(0))), target, fact


def _read(options: ClassificationOptions, folder: RunFolder) -> tuple[TokenReader, Target]:
    parts = read_parts(folder.vocabulary, Scaling)
    return TokenReader.from_parts(parts), target_of_parts(options, parts)


TASK = Task(prepare, TrainedClassifier)
