"""The measurements of a study."""

from collections.abc import Mapping, Sequence
from typing import Any

from gatewise.studies.study import Budget, Outcome, Settings


class Measurements:
    """The outcomes of a study by condition and seed.

    Args:
        budget: how much was measured.
        settings: the settings of each condition.
        outcomes: by condition, the outcome of each seed, in the order of ``seeds``.
        seeds: the seeds.
        rates: the chosen learning rates.
    """

    def __init__(
        self,
        budget: Budget,
        settings: Mapping[str, Settings],
        outcomes: Mapping[str, Sequence[Outcome]],
        seeds: Sequence[int],
        rates: Mapping[str, float],
    ) -> None:
        self.budget, self.settings, self.outcomes = budget, settings, outcomes
        self.seeds, self.rates = tuple(seeds), rates

    @property
    def conditions(self) -> list[str]:
        """The names of the conditions."""
        return list(self.settings)

    def where(self, **settings: Any) -> list[str]:
        """The conditions whose settings have these values."""
        return [
            name
            for name, given in self.settings.items()
            if all(given.get(key) == value for key, value in settings.items())
        ]

    def the(self, **settings: Any) -> str:
        """The only condition whose settings have these values."""
        found = self.where(**settings)
        if len(found) != 1:
            raise LookupError(f"expected one condition with {settings}, found {found}")
        return found[0]

    def values(self, condition: str, key: str) -> list[Any]:
        """A value of each seed's outcome."""
        return [outcome[key] for outcome in self.outcomes[condition]]
