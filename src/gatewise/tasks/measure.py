"""How a task reports its loss: bits per character, perplexity."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Measure:
    """A loss in nats per token, as people quote it.

    Attributes:
        name: "bits_per_character" or "perplexity".
        unit: the plural of what is counted, for speeds: "characters", "words".
        units_per_token: how many of them a token has on average.
    """

    name: str
    unit: str
    units_per_token: float = 1.0

    def of(self, loss: float) -> float:
        """The reported number for a loss in nats per token.

        >>> Measure("bits_per_character", "characters").of(math.log(2))
        1.0
        """
        if self.name == "perplexity":
            return math.exp(min(loss, 700.0))
        return loss / math.log(2) / self.units_per_token

    @property
    def title(self) -> str:
        """The name for people."""
        return self.name.replace("_", " ")
