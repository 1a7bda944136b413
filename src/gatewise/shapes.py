"""The legend of dimension letters, and the shape check that uses it.

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

    Args:
        name: name of the argument; the message begins with it.
        shape: the actual shape.
        expected: for each dimension its letter (or product of letters, as ``D*L``) and its size; None stands for
            any size.
        hint: advice; the message ends with it.

    Raises:
        ValueError: when rank or a size differs.

    >>> check_shape("input", (5, 3), [("T", None), ("I", 3)], "pass (T, I)")
    >>> check_shape("input", (5, 4), [("T", None), ("I", 3)], "pass features of width 3")
    Traceback (most recent call last):
    ValueError: input: expected shape (T, I=3), got (5, 4); pass features of width 3
    """
    fits = len(shape) == len(expected) and all(
        size is None or actual == size for actual, (_, size) in zip(shape, expected, strict=True)
    )
    if not fits:
        wanted = ", ".join(letter if size is None else f"{letter}={size}" for letter, size in expected)
        actual = ", ".join(str(size) for size in shape)
        comma = "," if len(expected) == 1 else ""
        actual_comma = "," if len(shape) == 1 else ""
        raise ValueError(f"{name}: expected shape ({wanted}{comma}), got ({actual}{actual_comma}); {hint}")
