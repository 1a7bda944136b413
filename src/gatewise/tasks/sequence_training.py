"""The task of training on whole sequences: labels, tags and numbers, whatever is read."""

import dataclasses
from typing import Any

from gatewise.data.vocabulary_file import to_json
from gatewise.tasks.measure import Measure
from gatewise.tasks.memory import make_checked
from gatewise.tasks.run_folder import RunFolder
from gatewise.tasks.sequence_module import SequenceModule
from gatewise.tasks.task import Job, Task, cost_of
from gatewise.tasks.trained_on_sequences import TrainedOnSequences


def sequence_task(trained: type[TrainedOnSequences]) -> Task:
    """The task of a class of trained models, whose pipeline is learned and whose head is trained."""

    def prepare(options: Any, folder: RunFolder | None) -> Job:
        pipelines = trained.pipeline_type
        corpus = pipelines.read_corpus(options, None if folder is None else folder.hashes())
        options = dataclasses.replace(options, held_out=corpus.held_out)
        pipeline = pipelines.learn(options, corpus.training) if folder is None else pipelines.load(options, folder)
        for name, examples in corpus.scored.items():
            pipeline.check(name, examples)
        training, deciding = map(pipeline.encode, (corpus.training, corpus.deciding))
        options, head = pipeline.options, pipeline.head
        if folder is None:
            head.learn_baseline(training)
        facts = pipeline.facts(corpus, training)
        model = make_checked(pipeline.make_model, options, folder)
        pipeline.set_vectors(model)
        batches = head.batches(training, options.batch, options.seed)
        return Job(
            options,
            SequenceModule(
                model,
                head.statistics_of(model, training, deciding),
                options,
                Measure(head.measure, pipeline.unit, head.loss_unit, by_loss=head.by_loss),
                options.steps(len(batches)),
            ),
            batches,
            head.batches(deciding, options.batch),
            to_json(pipeline.parts),
            corpus.source,
            corpus.hashes,
            (corpus.summary, *facts),
            corpus.scored,
            head.scoring_passes * cost_of(corpus.scored),
        )

    return Task(prepare, trained)
