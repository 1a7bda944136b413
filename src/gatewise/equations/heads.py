"""Matrices that are divided into heads: block-diagonal, so that a unit reads those of its own head alone."""

from collections.abc import Collection, Sequence

from gatewise.equations.widths import Widths


def check_heads(declared: Collection[str], groups: Sequence[str], widths: Widths) -> tuple[str, ...]:
    """The groups whose matrices are divided into heads, as declared, in the order of the groups.

    Args:
        declared: names of groups, or one name.
        groups: of the cell.
        widths: of its values.

    Raises:
        TypeError, ValueError: for a name that is not a group's, or whose matrices do not take H units to H units.
    """
    names = (declared,) if isinstance(declared, str) else tuple(declared)
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"heads: expected names of parameter groups, such as ('R',), got {name!r}")
        if name not in groups:
            raise ValueError(f"heads: the cell has no parameter group {name!r}; its groups are {', '.join(groups)}")
        columns = widths.columns.get(name)
        if columns is None:
            raise ValueError(f"heads: expected a group of matrices, such as R in R @ h; {name} is a group of vectors")
        if (widths.rows[name], columns) != ("H", "H"):
            raise ValueError(
                f"heads: expected a group of (H, H) matrices, which take units of a head to the same ones; those of "
                f"{name} are ({widths.rows[name]}, {columns})"
            )
    return tuple(group for group in groups if group in names)
