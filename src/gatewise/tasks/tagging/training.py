"""Training a tagger: the job that its options describe."""

import dataclasses

from gatewise.data.vocabulary_file import read_parts
from gatewise.tasks.pretrained_embeddings import set_vectors, with_vectors
from gatewise.tasks.run_folder import RunFolder
from gatewise.tasks.sequence_training import sequence_job
from gatewise.tasks.tagging.corpus import read_corpus
from gatewise.tasks.tagging.options import TaggingOptions
from gatewise.tasks.tagging.pipeline import TaggingPipeline
from gatewise.tasks.tagging.tag_set import TagSet
from gatewise.tasks.tagging.trained import TrainedTagger
from gatewise.tasks.task import Job, Task


def prepare(options: TaggingOptions, folder: RunFolder | None) -> Job:
    """The job of training a tagger, see `Prepare`."""
    corpus = read_corpus(options, None if folder is None else folder.hashes())
    options = dataclasses.replace(options, held_out=corpus.held_out)
    sampled, vectors = "", None
    if folder is None:
        pipeline, sampled = TaggingPipeline.learn(options, corpus.training)
        pipeline.options, vectors = with_vectors(options, pipeline.reader.vocabulary)
    else:
        pipeline = TaggingPipeline.from_parts(options, read_parts(folder.vocabulary, TagSet))
    for name, examples in corpus.scored.items():
        pipeline.check(name, examples)
    training, deciding = map(pipeline.encode, (corpus.training, corpus.deciding))
    if folder is None:
        pipeline.head.learn_baseline(training)
    tags = pipeline.head.tags
    counts = {name: sum(len(words) for words, _ in part) for name, part in corpus.scored.items()}
    counts = {"training": int(training.rows.lengths.sum()), **counts}
    facts = (
        "tokens: " + ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in counts.items()),
        f"tags: {tags.labels.size}" + (f" (scheme {tags.learned})" if tags.learned else ""),
        f"{pipeline.reader.summary}{sampled}",
    )
    unit = "words" if options.unit == "word" else "characters"
    # What is scored is read for the loss, and for the tags.
    job = sequence_job(pipeline, folder, corpus, training, deciding, facts, unit=unit, passes=2)
    set_vectors(job.module.model, vectors, freeze=options.freeze)
    return job


TASK = Task(prepare, TrainedTagger)
