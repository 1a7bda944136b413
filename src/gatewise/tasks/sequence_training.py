"""The job of training on whole sequences, from a pipeline and its data."""

from collections.abc import Sequence
from typing import Any

from gatewise.data.vocabulary_file import to_json
from gatewise.tasks.examples import Examples
from gatewise.tasks.head import Encoded
from gatewise.tasks.measure import Measure
from gatewise.tasks.memory import make_checked
from gatewise.tasks.run_folder import RunFolder
from gatewise.tasks.sequence_module import SequenceModule
from gatewise.tasks.sequence_pipeline import SequencePipeline
from gatewise.tasks.task import Job, cost_of


def sequence_job(
    pipeline: SequencePipeline[Any, Any],
    folder: RunFolder | None,
    corpus: Examples[Any],
    training: Encoded[Any],
    deciding: Encoded[Any],
    facts: Sequence[str],
    *,
    unit: str,
    passes: int = 1,
) -> Job:
    """The job of training a head, see `gatewise.tasks.task.Prepare`.

    Args:
        pipeline: the reader and the head.
        folder: the run folder to resume, if any.
        corpus: the data.
        training: the training data, encoded.
        deciding: the data whose score decides which weights are kept, encoded.
        facts: lines about data and vocabulary, for people.
        unit: what steps are called, in the plural.
        passes: how often data to be scored is read.
    """
    options, head = pipeline.options, pipeline.head
    model = make_checked(pipeline.make_model, options, folder)
    batches = head.batches(training, options.batch, options.seed)
    return Job(
        options,
        SequenceModule(
            model,
            head.statistics_of(model, training, deciding),
            options,
            Measure(head.measure, unit, head.loss_unit, by_loss=head.by_loss),
            options.steps(len(batches)),
        ),
        batches,
        head.batches(deciding, options.batch),
        to_json(pipeline.parts),
        corpus.source,
        corpus.hashes,
        (corpus.summary, *facts),
        corpus.scored,
        passes * cost_of(corpus.scored),
    )
