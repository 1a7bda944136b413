"""Pixel by pixel digits: classify an image of 8 × 8 pixels that is read one pixel at a time.

The images are scikit-learn's copy of the test part of UCI's optical recognition of handwritten digits. The task is a
small form of the pixel-by-pixel MNIST of Le, Jaitly & Hinton 2015, arXiv:1504.00941.
"""

from typing import Literal, get_args

import torch
from torch import Tensor

from gatewise.data.generated.sequences import Sequences
from gatewise.extras import require

Part = Literal["train", "test"]
PIXELS, CLASSES = 64, 10
TEST_IMAGES = 360
"""The last 360 of the 1,797 images are the test part: it is the same in every run."""


def digits(part: Part, *, permutation: Tensor | None = None) -> Sequences:
    """The images of a part, row by row.

    Args:
        part: "train" or "test".
        permutation: the order in which pixels are read, a permutation of 0 … 63 such as ``torch.randperm(64)``.

    Returns:
        inputs (64, B, 1): brightness from 0 to 1; targets (B,): the digit.

    Raises:
        ValueError: for another part, or what is not a permutation.
        TypeError: for a permutation that is not a tensor.
        MissingExtraError: when scikit-learn is not installed.

    >>> digits("test").inputs.shape
    torch.Size([64, 360, 1])
    """
    if part not in get_args(Part):
        raise ValueError(f"part: expected one of {', '.join(get_args(Part))}, got {part!r}")
    if permutation is not None and not isinstance(permutation, Tensor):
        raise TypeError(
            f"permutation: expected a tensor, such as torch.randperm({PIXELS}), got {type(permutation).__name__}; "
            "torch.tensor(…) makes one of a list"
        )
    if permutation is not None and not torch.equal(permutation.sort().values, torch.arange(PIXELS)):
        raise ValueError(
            f"permutation: expected the numbers 0 to {PIXELS - 1} in some order, as torch.randperm({PIXELS}) gives, "
            f"got a tensor of shape {tuple(permutation.shape)} and type {permutation.dtype}"
        )
    require("the digits of 8 × 8 pixels", "studies", "sklearn")
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    chosen = slice(-TEST_IMAGES, None) if part == "test" else slice(None, -TEST_IMAGES)
    pixels = torch.from_numpy(images[chosen]).float().T / 16
    if permutation is not None:
        pixels = pixels[permutation]
    return Sequences(pixels[..., None].contiguous(), torch.from_numpy(labels[chosen]).long())
