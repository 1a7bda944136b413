"""Masks in a cell's equations: dropout, one mask for a sequence, and zoneout, one for every step."""

import re
from collections.abc import Iterable
from zlib import crc32

from gatewise.equations.expression import Expr, Mask, Operand, elementwise, topological


def dropout(a: Operand, name: str) -> Expr:
    """``a`` with units dropped, the same ones at every step of a sequence.

    In training a unit is 0 with probability p, else divided by 1 − p; in evaluation this is ``a``. The layer that runs
    the cell gives each mask its p, by name.

    Raises:
        TypeError, ValueError: for a name that is not an identifier.

    >>> from gatewise.equations import cell, dropout, tanh
    >>> @cell
    ... def dropped(x, h, /, W, R, b):
    ...     return tanh(W @ x + R @ dropout(h, "h") + b)
    >>> [str(mask) for mask in dropped.masks]
    ['dropout h']
    """
    return elementwise("mul", a, _leaf(Mask("dropout", _checked(name))))


def zoneout(new: Operand, old: Operand, name: str) -> Expr:
    """``new``, with units that keep their ``old`` value, others at every step (Krueger et al. 2017, arXiv:1606.01305).

    In training a unit keeps its old value with probability p; in evaluation this is the mean, p·old + (1 − p)·new.

    Raises:
        TypeError, ValueError: for a name that is not an identifier.
    """
    mask = _leaf(Mask("zoneout", _checked(name)))
    return mask * new + (1 - mask) * old


def masks_of(outputs: Iterable[Expr]) -> tuple[Mask, ...]:
    """The masks of equations, in order of first use.

    Raises:
        ValueError: when one name is used for both kinds, or two names have the same key.
    """
    found = tuple(node.attr for node in topological(outputs) if isinstance(node.attr, Mask))
    keys: dict[int, Mask] = {}
    for mask in found:
        other = keys.setdefault(key_of(mask), mask)
        if other != mask:
            raise ValueError(f"the masks {other} and {mask} need names of their own")
    return found


def key_of(mask: Mask) -> int:
    """The number that stands for a mask's name in the generator's counter."""
    return crc32(mask.name.encode())


def _leaf(mask: Mask) -> Expr:
    return Expr.make("mask", attr=mask)


def _checked(name: object) -> str:
    if not isinstance(name, str):
        raise TypeError(f"a mask needs a name, such as 'h'; got {name!r:.60}")
    if not re.fullmatch(r"[^\W\d]\w*", name):
        raise ValueError(f"the name of a mask must be an identifier, such as 'h'; got {name!r:.60}")
    return name
