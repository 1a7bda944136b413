"""Training a classifier: the job that its options describe."""

import dataclasses

from gatewise.data.scaling import Scaling
from gatewise.data.vocabulary_file import read_parts
from gatewise.tasks.classification.corpus import labelled_data
from gatewise.tasks.classification.options import ClassificationOptions
from gatewise.tasks.classification.pipeline import ClassificationPipeline
from gatewise.tasks.classification.trained import TrainedClassifier
from gatewise.tasks.examples import read_examples
from gatewise.tasks.pretrained_embeddings import set_vectors, with_vectors
from gatewise.tasks.run_folder import RunFolder
from gatewise.tasks.sequence_training import sequence_job
from gatewise.tasks.task import Job, Task


def prepare(options: ClassificationOptions, folder: RunFolder | None) -> Job:
    """The job of training a classifier, see `Prepare`."""
    corpus = read_examples(options, labelled_data(options), None if folder is None else folder.hashes())
    options = dataclasses.replace(options, held_out=corpus.held_out)
    sampled, vectors = "", None
    if folder is None:
        pipeline, sampled = ClassificationPipeline.learn(options, corpus.training)
        pipeline.options, vectors = with_vectors(options, pipeline.reader.vocabulary)
    else:
        pipeline = ClassificationPipeline.from_parts(options, read_parts(folder.vocabulary, Scaling))
    for name, examples in corpus.scored.items():
        pipeline.check(name, examples)
    training, deciding = map(pipeline.encode, (corpus.training, corpus.deciding))
    notice = pipeline.notice_of_cut(training)
    facts = (pipeline.head.summary, f"{pipeline.reader.summary}{sampled}", *filter(None, (notice,)))
    unit = "words" if options.unit == "word" else "tokens"
    job = sequence_job(pipeline, folder, corpus, training, deciding, facts, unit=unit)
    set_vectors(job.module.model, vectors, freeze=options.freeze)
    return job


TASK = Task(prepare, TrainedClassifier)
