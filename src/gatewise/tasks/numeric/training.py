"""Training on sequences of numbers: the job that the options describe."""

import dataclasses

from gatewise.data.scaling import Scaling
from gatewise.data.vocabulary_file import read_parts
from gatewise.progress import say
from gatewise.tasks.examples import read_examples
from gatewise.tasks.numeric.corpus import numeric_data, with_features
from gatewise.tasks.numeric.options import NumericOptions
from gatewise.tasks.numeric.pipeline import NumericPipeline
from gatewise.tasks.numeric.trained import TrainedOnNumbers
from gatewise.tasks.run_folder import RunFolder
from gatewise.tasks.sequence_training import sequence_job
from gatewise.tasks.tagging.tag_set import TagSet
from gatewise.tasks.task import Job, Task

_MOST_NAMED = 20


def prepare(options: NumericOptions, folder: RunFolder | None) -> Job:
    """The job of training on sequences of numbers, see `Prepare`."""
    corpus = read_examples(options, numeric_data(options))
    options = dataclasses.replace(with_features(options, corpus.training), held_out=corpus.held_out)
    if folder is None:
        pipeline = NumericPipeline.learn(options, corpus.training)
        _say_constant(options, pipeline.reader.scaling)
    else:
        pipeline = NumericPipeline.from_parts(options, read_parts(folder.vocabulary, TagSet, Scaling))
    for name, part in {"the data": corpus.training, **corpus.scored}.items():
        pipeline.check(name, part)
    parts = {"training": corpus.training, **corpus.scored}
    counts = (f"{name.replace('_', ' ')} {sum(one.length for one in part):,}" for name, part in parts.items())
    facts = (f"steps: {', '.join(counts)}", *pipeline.reader.summary(options.feature_columns))
    training, deciding = map(pipeline.encode, (corpus.training, corpus.deciding))
    return sequence_job(pipeline, folder, corpus, training, deciding, facts, unit="steps")


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
