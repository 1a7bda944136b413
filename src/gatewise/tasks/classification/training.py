"""Training a classifier."""

from gatewise.tasks.classification.trained import TrainedClassifier
from gatewise.tasks.sequence_training import sequence_task

TASK = sequence_task(TrainedClassifier)
