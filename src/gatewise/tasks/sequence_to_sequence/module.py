"""A model for pairs of texts in training."""

from gatewise.data.batches import Batch
from gatewise.tasks.sequence_module import SequenceModule


class SequenceToSequenceModule(SequenceModule):
    """As others on whole sequences, but steps are those of both sides."""

    def units(self, batch: Batch) -> float:
        """The tokens of sources and targets."""
        return int(batch.lengths.sum() + batch.inputs[2].sum())
