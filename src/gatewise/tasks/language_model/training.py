"""Training a language model: the job that its options describe."""

from gatewise.data.streams import Streams
from gatewise.data.vocabularies import build_vocabulary, load_vocabulary
from gatewise.progress import Progress
from gatewise.tasks.language_model.corpus import read_corpus
from gatewise.tasks.language_model.module import LanguageModelModule
from gatewise.tasks.language_model.options import LanguageModelOptions
from gatewise.tasks.language_model.scores import encode, measure_for, scoring_stream
from gatewise.tasks.language_model.trained import TrainedLanguageModel, make_model
from gatewise.tasks.memory import planned
from gatewise.tasks.run_folder import RunFolder
from gatewise.tasks.task import Job, Task, cost_of


def prepare(options: LanguageModelOptions, folder: RunFolder | None) -> Job:
    """The job of training a language model, see `Prepare`."""
    corpus = read_corpus(options)
    if folder is None:
        vocabulary = build_vocabulary(options.unit, corpus.training, options.vocabulary_size)
    else:
        vocabulary = load_vocabulary(folder.vocabulary)
    with Progress("encoding"):
        tokens = vocabulary.encode(corpus.training)
    needed = options.batch * options.window + 1
    if len(tokens) < needed:
        raise ValueError(
            f"the text to train on has {len(tokens)} tokens (unit {options.unit}), too short for one window of "
            f"{options.window} steps in each of {options.batch} streams ({needed} tokens); try a smaller window "
            "or batch, or more text"
        )
    deciding = next(iter(corpus.scored))
    scored = {name: encode(vocabulary, text) for name, text in corpus.scored.items()}
    training = Streams(tokens, options.batch, options.window)
    module = LanguageModelModule(
        planned(lambda: make_model(options, vocabulary), options, folder),
        options,
        measure_for(vocabulary, scored[deciding], corpus.scored[deciding]),
        total_steps=options.epochs * len(training),
    )
    texts = {"training": corpus.training, **corpus.scored}
    return Job(
        options,
        module,
        training,
        scoring_stream(scored[deciding]),
        vocabulary.to_json(),
        corpus.source,
        corpus.hashes,
        (
            "characters: " + ", ".join(f"{name.replace('_', ' ')} {len(text):,}" for name, text in texts.items()),
            f"vocabulary: {vocabulary.size:,} tokens (unit {options.unit})",
        ),
        corpus.scored,
        cost_of(corpus.scored),
    )


TASK = Task(prepare, TrainedLanguageModel)
