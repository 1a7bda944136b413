"""Training a classifier: the job that its options describe."""

from gatewise.data.labelled_texts import LabelledText
from gatewise.data.labels import Labels, MostFrequent
from gatewise.data.vocabulary_file import read_parts, to_json
from gatewise.tasks.classification.corpus import read_corpus
from gatewise.tasks.classification.network import balanced, make_batches, make_model, outcome_of
from gatewise.tasks.classification.options import ClassificationOptions
from gatewise.tasks.classification.trained import TrainedClassifier, check_parts, numbered
from gatewise.tasks.first_vectors import set_vectors, with_vectors
from gatewise.tasks.measure import Measure
from gatewise.tasks.memory import planned
from gatewise.tasks.run_folder import RunFolder
from gatewise.tasks.sequence_module import SequenceModule
from gatewise.tasks.task import Job, Task, cost_of
from gatewise.tasks.token_reader import TokenReader, cut_texts


def prepare(options: ClassificationOptions, folder: RunFolder | None) -> Job:
    """The job of training a classifier, see `Prepare`."""
    corpus = read_corpus(options)
    reader, labels, baseline = _learn(options, corpus.training) if folder is None else _read(folder)
    vectors = None
    if folder is None:
        options, vectors = with_vectors(options, reader.vocabulary)
    check_parts(labels, corpus.scored)
    training, targets = numbered(reader, labels, corpus.training, options.longest)
    with_unknown = labels.including(label for _, label in corpus.deciding)
    scored, scored_targets = numbered(reader, with_unknown, corpus.deciding, options.longest)
    settled = options
    model = planned(lambda: make_model(settled, reader, labels), options, folder)
    set_vectors(model.steps, vectors, freeze=options.freeze)
    batches = make_batches(reader, training, targets, options.batch, options.seed)
    weights = balanced(targets, labels.size) if options.class_weights == "balanced" else None
    module = SequenceModule(
        model,
        outcome_of(model, weights),
        options,
        Measure("accuracy", "words" if options.unit == "word" else "tokens", "nats/text"),
        total_steps=options.steps(len(batches)),
    )
    return Job(
        options,
        module,
        batches,
        make_batches(reader, scored, scored_targets, options.batch),
        to_json({**reader.parts, "labels": labels, "baseline": baseline}),
        corpus.source,
        corpus.hashes,
        (
            corpus.summary,
            f"classes: {labels.size}, the most frequent {labels.names[baseline.overall]}",
            reader.summary,
            *filter(None, (cut_texts(training, options.longest),)),
        ),
        corpus.scored,
        cost_of(corpus.scored),
    )


def _learn(options: ClassificationOptions, examples: list[LabelledText]) -> tuple[TokenReader, Labels, MostFrequent]:
    labels = Labels.learn(label for _, label in examples)
    labels.check_several()
    reader = TokenReader.learn(options, options.unit, [text for text, _ in examples])
    return reader, labels, MostFrequent.learn((0, labels.number(label)) for _, label in examples)


def _read(folder: RunFolder) -> tuple[TokenReader, Labels, MostFrequent]:
    parts = read_parts(folder.vocabulary)
    return TokenReader.from_parts(parts), parts["labels"], parts["baseline"]


TASK = Task(prepare, TrainedClassifier)
