"""How a task reports how well it does: bits per character, perplexity, accuracy."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

_FORMS_OF_THE_LOSS = ("bits_per_character", "perplexity", "nats_per_step")

_LESS_IS_BETTER = {*_FORMS_OF_THE_LOSS, "loss", "mean_squared_error", "scaled_error"}
_LESS_IS_BETTER |= {"mae", "mse", "rmse", "scaled_mae", "scaled_mse", "mase", "smape", "pinball"}
_MORE_IS_BETTER = {"accuracy", "macro_f1", "micro_f1", "r2", "token_accuracy", "exact_match", "bleu", "chrf"}
_MORE_IS_BETTER |= {"rouge_1", "rouge_2", "rouge_l", "entity_precision", "entity_recall", "entity_f1"}


def best(name: str, values: Iterable[float]) -> float | None:
    """The best of some values of a score; None where scores of that name are neither good nor bad.

    >>> best("accuracy", [0.8, 0.9]), best("mae", [0.8, 0.9]), best("tokens", [8, 9])
    (0.9, 0.8, None)
    """
    if name in _MORE_IS_BETTER:
        return max(values)
    return min(values) if name in _LESS_IS_BETTER else None


@dataclass(frozen=True)
class Measure:
    """What people quote: a form of the loss, or something that the task counts.

    Attributes:
        name: "bits_per_character", "perplexity" and "nats_per_step" are forms of the loss; any other is a ratio.
        unit: the plural of what is read, for speeds: "characters", "words".
        loss_unit: what the loss is measured in.
        units_per_token: how many of them a token has on average.
        by_loss: whether the best model is that with the least loss, whatever is reported.
    """

    name: str
    unit: str
    loss_unit: str = "nats/token"
    units_per_token: float = 1.0
    by_loss: bool = False

    def of(self, loss: float, ratio: float = math.nan) -> float:
        """The reported number, for a loss in nats per token and a ratio of counts.

        >>> Measure("bits_per_character", "characters").of(math.log(2))
        1.0
        >>> Measure("accuracy", "words").of(0.25, ratio=0.9)
        0.9
        """
        if self.name == "perplexity":
            return math.exp(min(loss, 700.0))
        if self.name == "bits_per_character":
            return loss / math.log(2) / self.units_per_token
        return loss if self.name == "nats_per_step" else ratio

    def criterion(self, loss: float, reported: float) -> float:
        """What the best model has the least of; where equally many answers are right, the loss decides.

        >>> measure = Measure("accuracy", "words")
        >>> measure.criterion(0.5, 0.9) < measure.criterion(0.6, 0.9) < measure.criterion(0.1, 0.8999)
        True
        """
        if self.name in _MORE_IS_BETTER:
            return -reported + 1e-9 * min(loss, 1e3)
        return loss if self.by_loss or self.name in _FORMS_OF_THE_LOSS else reported

    @property
    def title(self) -> str:
        """The name for people."""
        return self.name.replace("_", " ")
