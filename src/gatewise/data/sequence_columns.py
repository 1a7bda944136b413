"""Which columns of a table of numeric sequences are what; imports nothing heavy, for the options of commands."""

from dataclasses import dataclass


@dataclass(frozen=True)
class SequenceColumns:
    """Which columns of tables are what.

    Attributes:
        sequence: says which sequence a row belongs to.
        label: the label, if there is one.
        features: the features; by default those of `feature_names`.
        categories: categorical columns.
        missing: whether features may have missing values.
    """

    sequence: str = "sequence"
    label: str = "label"
    features: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    missing: bool = False


DEFAULT_COLUMNS = SequenceColumns()
