"""What the printed names of norms over units, and of their gradients, stand for."""

from gatewise.equations.cell import Cell
from gatewise.equations.norms import Norm, norms_of
from gatewise.equations.style import UNICODE


def norm_sentences(cell: Cell) -> list[str]:
    """A sentence for each kind of norm in a cell, and one for those over several gates together."""
    sentences = [
        f"`{word}(v)` is `{'(v − m)' if norm.centred else 'v'} / {_root(norm)}`, with the "
        f"{'mean m and the variance s of v' if norm.centred else 'mean s of the squares of v'} over the units of the "
        "layer."
        for word, norm in _kinds(cell).items()
    ]
    joint = list(dict.fromkeys(norm.name for norm in norms_of(cell) if len(norm.values) > 1))
    if joint:
        named = " and ".join(f"`{name}`" for name in joint)
        several = "takes" if len(joint) == 1 else "take"
        sentences.append(f"{named} {several} them over the blocks of all the gates in the subscript together.")
    return sentences


def gradient_sentences(cell: Cell) -> list[str]:
    """A sentence for the gradient of each kind of norm in a cell."""
    return [
        f"`{word}′(q; v)` is the gradient of v, given that of `{word}(v)`, q: "
        f"`(q {'− mean(q) ' if norm.centred else ''}− {word}(v) ⊙ mean(q ⊙ {word}(v))) / {_root(norm)}`."
        for word, norm in _kinds(cell).items()
    ]


def _kinds(cell: Cell) -> dict[str, Norm]:
    return {norm.name.split("_")[0]: norm for norm in norms_of(cell)}


def _root(norm: Norm) -> str:
    return f"√(s + {UNICODE.number(norm.eps)})"
