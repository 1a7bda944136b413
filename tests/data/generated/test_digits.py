"""Digits pixel by pixel, against scikit-learn's images."""

import sys

import pytest
import torch

from gatewise.data.generated.digits import digits
from gatewise.extras import MissingExtraError


def test_pixels_are_those_of_the_images_in_rows() -> None:
    load_digits = pytest.importorskip("sklearn.datasets").load_digits
    found = load_digits()
    train, test = digits("train"), digits("test")
    assert (train.inputs.shape[1], test.inputs.shape[1]) == (1437, 360)
    for part, offset in ((train, 0), (test, 1437)):
        for index in (0, 5, 359):
            image = found["images"][offset + index].tolist()
            pixels = [pixel / 16 for row in image for pixel in row]
            assert part.inputs[:, index, 0].tolist() == pixels
            assert int(part.targets[index]) == int(found["target"][offset + index])
    assert set(test.targets.tolist()) == set(range(10))
    assert (float(train.inputs.min()), float(train.inputs.max())) == (0, 1)


def test_permutation_reorders_pixels_alone() -> None:
    pytest.importorskip("sklearn")
    order = torch.randperm(64, generator=torch.Generator().manual_seed(1))
    plain, permuted = digits("test"), digits("test", permutation=order)
    assert torch.equal(plain.targets, permuted.targets)
    for step, pixel in enumerate(order.tolist()):
        assert torch.equal(permuted.inputs[step], plain.inputs[pixel])


def test_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="part: expected one of train, test, got 'valid'"):
        digits("valid")  # pyright: ignore[reportArgumentType]
    for wrong in (torch.zeros(64, dtype=torch.long), torch.arange(63), torch.arange(64) + 1):
        with pytest.raises(ValueError, match="permutation: expected the numbers 0 to 63 in some order"):
            digits("test", permutation=wrong)
    with pytest.raises(TypeError, match=r"permutation: expected a tensor, such as .*, got list"):
        digits("test", permutation=list(range(64)))  # pyright: ignore[reportArgumentType]
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(MissingExtraError, match=r"sklearn, which is not installed: pip install 'gatewise\[studies\]'"):
        digits("test")
