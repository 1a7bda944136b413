"""The legend of dimension letters, and the one check that compares a shape with it.

| letter | meaning                                   |
|--------|-------------------------------------------|
| T      | time: steps of a sequence                 |
| B      | batch: sequences side by side             |
| I      | input: width of x_t                       |
| H      | hidden: width of a state                  |
| G      | gates: blocks of a parameter group        |
| L      | layers of a stack                         |
| D      | directions: 1, or 2 when bidirectional    |
| V      | vocabulary: number of symbols             |
| K      | classes                                   |
"""

from collections.abc import Sequence

LEGEND: dict[str, str] = {
    "T": "time",
    "B": "batch",
    "I": "input",
    "H": "hidden",
    "G": "gates",
    "L": "layers",
    "D": "directions",
    "V": "vocabulary",
    "K": "classes",
}


def check_shape(name: str, shape: Sequence[int], expected: Sequence[tuple[str, int | None]], hint: str) -> None:
    """Raise unless ``shape`` has the expected rank and widths.

    Arguments:
        name: the argument as its caller wrote it; the message begins with it.
        shape: what came.
        expected: for each dimension its letter (or product of letters, as ``D*L``) and its size; None stands for
            any size.
        hint: what to try; the message ends with it.

    Raises:
        ValueError: when rank or a size differs.

    >>> check_shape("input", (5, 3), [("T", None), ("I", 3)], "pass (T, I)")
    >>> check_shape("input", (5, 4), [("T", None), ("I", 3)], "pass features of width 3")
    Traceback (most recent call last):
    ValueError: input: expected shape (T, I=3), got (5, 4); pass features of width 3
    """
    fits = len(shape) == len(expected) and all(
        size is None or came == size for came, (_, size) in zip(shape, expected, strict=True)
    )
    if not fits:
        wanted = ", ".join(letter if size is None else f"{letter}={size}" for letter, size in expected)
        came = ", ".join(str(size) for size in shape)
        comma = "," if len(expected) == 1 else ""
        came_comma = "," if len(shape) == 1 else ""
        raise ValueError(f"{name}: expected shape ({wanted}{comma}), got ({came}{came_comma}); {hint}")
