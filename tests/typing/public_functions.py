"""The types that a type checker infers for the public functions; checked by basedpyright, never run."""

# pyright: reportUnnecessaryTypeIgnoreComment=true

from typing import assert_type

import gatewise
from gatewise import tasks
from gatewise.tasks.classification.trained import TrainedClassifier
from gatewise.tasks.forecasting.trained import TrainedForecaster
from gatewise.tasks.language_model.trained import TrainedLanguageModel
from gatewise.tasks.numeric.trained import TrainedOnNumbers
from gatewise.tasks.sequence_to_sequence.trained import Answer, TrainedSequenceToSequence
from gatewise.tasks.tagging.trained import Tagged, TrainedTagger
from gatewise.tasks.trained import Scores, Trained


def train_by_name(task: str) -> None:
    assert_type(gatewise.train("lm", data="text.txt"), TrainedLanguageModel)
    assert_type(gatewise.train("classify"), TrainedClassifier)
    assert_type(gatewise.train("tag", config="tag.toml", hidden=64), TrainedTagger)
    assert_type(gatewise.train("seq2seq"), TrainedSequenceToSequence)
    assert_type(gatewise.train("numeric"), TrainedOnNumbers)
    assert_type(gatewise.train("forecast"), TrainedForecaster)
    assert_type(gatewise.train(task), Trained)


def train_by_options() -> None:
    assert_type(gatewise.train(tasks.LanguageModelOptions(hidden=64)), TrainedLanguageModel)
    assert_type(gatewise.train(tasks.ClassificationOptions()), TrainedClassifier)
    assert_type(gatewise.train(tasks.TaggingOptions()), TrainedTagger)
    assert_type(gatewise.train(tasks.SequenceToSequenceOptions()), TrainedSequenceToSequence)
    assert_type(gatewise.train(tasks.NumericOptions()), TrainedOnNumbers)
    assert_type(gatewise.train(tasks.ForecastOptions()), TrainedForecaster)


def load(folder: str) -> None:
    assert_type(gatewise.load(folder), Trained)
    assert_type(gatewise.load(folder, "lm"), TrainedLanguageModel)
    assert_type(gatewise.load(folder, "classify"), TrainedClassifier)
    assert_type(gatewise.load(folder, "tag"), TrainedTagger)
    assert_type(gatewise.load(folder, "seq2seq"), TrainedSequenceToSequence)
    assert_type(gatewise.load(folder, "numeric"), TrainedOnNumbers)
    assert_type(gatewise.load(folder, "forecast"), TrainedForecaster)


def use(folder: str) -> None:
    assert_type(gatewise.evaluate(folder), Scores)
    assert_type(gatewise.predict(folder), str)
    assert_type(gatewise.load(folder, "tag").predict(["a"]), list[Tagged])
    assert_type(gatewise.load(folder, "seq2seq").predict(["a"]), list[Answer])
    gatewise.train()  # pyright: ignore[reportCallIssue]
    gatewise.train(5)  # pyright: ignore[reportCallIssue, reportArgumentType]
    tasks.TaggingOptions(hidden="64")  # pyright: ignore[reportArgumentType]
    tasks.TaggingOptions(hiden=64)  # pyright: ignore[reportCallIssue]
