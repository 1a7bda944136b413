"""What a study is: a claim, a prediction, measurements of several seeds, and a conclusion by a stated rule."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

from gatewise.studies.statistics import Comparison

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from gatewise.studies.measurements import Measurements

Budget: TypeAlias = Literal["quick", "full", "tiny"]
"""How much is measured; ``tiny`` is for tests of the studies themselves."""
Settings: TypeAlias = Mapping[str, Any]
"""All that a measurement depends on beside its seed; values that JSON can hold."""
Outcome: TypeAlias = dict[str, Any]
"""What a measurement found; values that JSON can hold, without infinities and NaN."""

VERDICTS = ("holds", "does not hold here", "depends on ")


@dataclass(frozen=True)
class Reported:
    """A result of the literature.

    Args:
        result: what was reported, in one sentence.
        source: the paper, with where it can be found.
    """

    result: str
    source: str


@dataclass(frozen=True)
class Table:
    """A table of results.

    Args:
        title: the caption.
        columns: the headings.
        rows: cells of text.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"{self.title}: expected {len(self.columns)} cells in each row, got {row}")


@dataclass(frozen=True)
class Conclusion:
    """What the measurements say about the claim.

    Args:
        verdict: "holds", "does not hold here", or "depends on …".
        because: the evidence in a sentence or two, with numbers.
        tables: tables of results.
        comparisons: paired comparisons of two conditions.
        notes: what else the reader should know, such as deviations from published set-ups.
    """

    verdict: str
    because: str
    tables: tuple[Table, ...]
    comparisons: tuple[Comparison, ...] = ()
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.verdict.startswith(VERDICTS):
            raise ValueError(f"verdict: expected one of {', '.join(VERDICTS)}…, got {self.verdict!r}")


def verdict_of(met: int, tested: int, on: str) -> str:
    """The verdict of a claim of which several statements or cases are tested.

    Args:
        met: how many of them are confirmed.
        tested: their number.
        on: what the verdict depends on if some are.

    >>> verdict_of(3, 3, "the task"), verdict_of(1, 3, "the task"), verdict_of(0, 3, "the task")
    ('holds', 'depends on the task', 'does not hold here')
    """
    if met == tested:
        return "holds"
    return f"depends on {on}" if met else "does not hold here"


class Study(ABC):
    """A claim, how it is tested, and how the verdict follows from the measurements.

    A subclass is one file ``cNN_word.py`` of this package, with one subclass. Conditions are what is compared (a cell,
    an initialisation, a length); every condition is measured once for each seed, in processes of one thread. Where
    ``learning_rates`` is a grid, the rate of each condition is chosen on separate seeds before.

    Attributes:
        name: the number of the claim, such as "C6".
        word: another name for it on the command line.
        title: the claim in a few words.
        claim: the claim as textbooks make it.
        question: what is asked here.
        setup: task, networks, training and criteria, in Markdown.
        equal: what is equal between the sides of each comparison, such as "parameters within 2 %".
        prediction: what the authors expected, written before the results, and the rule of the verdict.
        literature: what others reported.
        learning_rates: the grid of learning rates; empty if nothing is tuned.
        seeds: the default number of seeds by budget.
    """

    name: ClassVar[str]
    word: ClassVar[str]
    title: ClassVar[str]
    claim: ClassVar[str]
    question: ClassVar[str]
    setup: ClassVar[str]
    equal: ClassVar[str]
    prediction: ClassVar[str]
    literature: ClassVar[tuple[Reported, ...]]
    learning_rates: ClassVar[tuple[float, ...]] = ()
    seeds: ClassVar[Mapping[Budget, int]] = {"quick": 5, "full": 10, "tiny": 1}

    @property
    def prediction_hash(self) -> str:
        """The SHA-256 of the prediction; results hold it."""
        return hashlib.sha256(self.prediction.encode()).hexdigest()

    def tuned(self, budget: Budget) -> dict[str, Settings]:
        """What a learning rate is chosen for, by name; `measure` is called with ``rate`` added to the settings."""
        return {}

    def score(self, outcome: Outcome) -> float:
        """How bad a measurement of `tuned` is, by default its ``score``: the rate with the lowest mean is chosen."""
        return outcome["score"]

    @abstractmethod
    def conditions(self, budget: Budget, rates: Mapping[str, float]) -> dict[str, Settings]:
        """The settings of each condition, by name.

        Args:
            budget: how much to measure.
            rates: the chosen learning rates, by the names of `tuned`.
        """

    @abstractmethod
    def measure(self, settings: Settings, seed: int) -> Outcome:
        """Measure a condition once.

        Called in a process of its own, with one thread, denormal numbers flushed to zero, and torch seeded with
        ``seed``.
        """

    @abstractmethod
    def conclude(self, measured: "Measurements") -> Conclusion:
        """The conclusion from all measurements, by the rule that the prediction states."""

    @abstractmethod
    def draw(self, measured: "Measurements", figure: "Figure") -> None:
        """Draw the measurements; every seed is shown."""
