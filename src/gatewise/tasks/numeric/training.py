"""Training on sequences of numbers: the job that the options describe."""

from gatewise.data.numeric_sequences import Scaling
from gatewise.data.vocabulary_file import read_parts, to_json
from gatewise.progress import say
from gatewise.tasks.memory import planned
from gatewise.tasks.numeric.corpus import read_corpus, with_features
from gatewise.tasks.numeric.objectives import goal_of_parts, learn_goal, parts_of
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
    if folder is None:
        goal = learn_goal(options, corpus.training)
        _say_constant(options, goal.reader.scaling)
    else:
        goal = goal_of_parts(options, read_parts(folder.vocabulary, TagSet, Scaling))
    for name, part in corpus.scored.items():
        goal.check(part, name)
    batches = goal.batches(corpus.training, "the data", options.batch, options.seed)
    held_out = goal.batches(corpus.deciding, "the held-out data", options.batch)
    model = planned(goal.make_model, options, folder)
    total_steps = options.steps(len(batches))
    module = SequenceModule(model, goal.outcome_of(model, corpus.training), options, goal.measure, total_steps)
    parts = {"training": corpus.training, **corpus.scored}
    counts = (f"{name.replace('_', ' ')} {sum(len(steps) for steps, _ in part):,}" for name, part in parts.items())
    return Job(
        options,
        module,
        batches,
        held_out,
        to_json(parts_of(goal)),
        corpus.source,
        corpus.hashes,
        (corpus.summary, f"steps: {', '.join(counts)}", f"features of a step: {goal.reader.scaling.width}"),
        corpus.scored,
        cost_of(corpus.scored),
    )


def _say_constant(options: NumericOptions, scaling: Scaling) -> None:
    """Name the features that say nothing."""
    if scaling.constant:
        names = options.feature_columns or [str(number) for number in range(1, scaling.width + 1)]
        shown = [f"{names[place]} ({float(scaling.means[place]):g})" for place in scaling.constant[:_MOST_NAMED]]
        more = len(scaling.constant) - len(shown)
        say(
            f"warning: never change in the training data: {', '.join(shown)}{f' and {more} more features' * bool(more)}"
        )


TASK = Task(prepare, TrainedOnNumbers)
