"""Training a tagger."""

from gatewise.tasks.sequence_training import sequence_task
from gatewise.tasks.tagging.trained import TrainedTagger

TASK = sequence_task(TrainedTagger)
