"""The one check of shapes, and its message."""

import pytest
import torch

from gatewise.shapes import LEGEND, check_shape


def test_the_legend_has_a_word_for_each_letter():
    assert set(LEGEND) == set("TBIHGLDVK")
    assert len(set(LEGEND.values())) == len(LEGEND)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((5, 3), [("T", None), ("I", 3)]),
        (torch.Size([2, 0, 4]), [("D*L", 2), ("B", 0), ("H", 4)]),
        ([7], [("B", 7)]),
        ((), []),
    ],
    ids=str,
)
def test_what_fits_passes(shape, expected):
    check_shape("x", shape, expected, "hint")


@pytest.mark.parametrize(
    ("shape", "expected", "message"),
    [
        ((5, 4), [("T", None), ("I", 3)], "x: expected shape (T, I=3), got (5, 4); hint"),
        ((5,), [("T", None), ("I", 3)], "x: expected shape (T, I=3), got (5,); hint"),
        ((5, 3, 1), [("T", None), ("I", 3)], "x: expected shape (T, I=3), got (5, 3, 1); hint"),
        ((), [("B", 2)], "x: expected shape (B=2,), got (); hint"),
        ((3,), [("B", 2)], "x: expected shape (B=2,), got (3,); hint"),
        ((3,), [], "x: expected shape (), got (3,); hint"),
        ((2, 1, 4), [("D*L", 2), ("B", 0), ("H", 4)], "x: expected shape (D*L=2, B=0, H=4), got (2, 1, 4); hint"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_named(shape, expected, message: str):
    with pytest.raises(ValueError, match="x: expected shape") as caught:
        check_shape("x", shape, expected, "hint")
    assert str(caught.value) == message
