"""Training on sequences of numbers: the job that the options describe."""

import dataclasses

from gatewise.data.scaling import Scaling
from gatewise.data.vocabulary_file import read_parts, to_json
from gatewise.progress import say
from gatewise.tasks.memory import planned
from gatewise.tasks.numeric.corpus import read_corpus, with_features
from gatewise.tasks.numeric.heads import head_of_parts, learn_head
from gatewise.tasks.numeric.options import NumericOptions
from gatewise.tasks.numeric.trained import TrainedOnNumbers
from gatewise.tasks.run_folder import RunFolder
from gatewise.tasks.sequence_module import SequenceModule
from gatewise.tasks.tagging.tag_set import TagSet
from gatewise.tasks.task import Job, Task, cost_of

_MOST_NAMED = 20


def prepare(options: NumericOptions, folder: RunFolder | None) -> Job:
    """The job of training on sequences of numbers, see `Prepare`."""
    options = with_features(options, options.data)
    corpus = read_corpus(options)
    options = dataclasses.replace(options, held_out=corpus.held_out)
    if folder is None:
        head = learn_head(options, corpus.training)
        _say_constant(options, head.reader.scaling)
    else:
        head = head_of_parts(options, read_parts(folder.vocabulary, TagSet, Scaling))
    for name, part in {"the data": corpus.training, **corpus.scored}.items():
        head.reader.check(part, name)
        head.check(part, name)
    batches = head.batches(corpus.training, options.batch, options.seed)
    model = planned(head.make_model, options, folder)
    statistics_of = head.statistics_of(model, corpus.training)
    parts = {"training": corpus.training, **corpus.scored}
    counts = (f"{name.replace('_', ' ')} {sum(one.length for one in part):,}" for name, part in parts.items())
    reader = head.reader
    return Job(
        options,
        SequenceModule(model, statistics_of, options, head.measure, options.steps(len(batches))),
        batches,
        head.batches(corpus.deciding, options.batch),
        to_json({**reader.parts, **head.parts}),
        corpus.source,
        corpus.hashes,
        (corpus.summary, f"steps: {', '.join(counts)}", *reader.summary(options.feature_columns)),
        corpus.scored,
        cost_of(corpus.scored),
    )


def _say_constant(options: NumericOptions, scaling: Scaling) -> None:
    """Name the features that have no information."""
    if scaling.constant:
        names = options.feature_columns or [str(number) for number in range(1, scaling.width + 1)]
        named = [f"{names[index]} ({float(scaling.means[index]):g})" for index in scaling.constant[:_MOST_NAMED]]
        more = len(scaling.constant) - len(named)
        say(
            f"warning: never change in the training data: {', '.join(named)}{f' and {more} more features' * bool(more)}"
        )


TASK = Task(prepare, TrainedOnNumbers)
