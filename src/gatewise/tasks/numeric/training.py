"""Training on sequences of numbers."""

from gatewise.tasks.numeric.trained import TrainedOnNumbers
from gatewise.tasks.sequence_training import sequence_task

TASK = sequence_task(TrainedOnNumbers)
