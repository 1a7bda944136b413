"""skorch: a layer of ours inside a scikit-learn estimator, with rows of unequal length.

pip install skorch
python examples/other_libraries/skorch_classifier.py
"""

from collections.abc import Callable

import numpy as np
import torch
from skorch import NeuralNetClassifier
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

import gatewise


class Classifier(nn.Module):
    """Labels of sequences, from the state at the true end of each row."""

    def __init__(self, features: int = 3, hidden_size: int = 16, labels: int = 2) -> None:
        super().__init__()
        self.memory = gatewise.GRU(features, hidden_size, batch_first=True)
        self.head = nn.Linear(hidden_size, labels)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Logits (B, labels) of x (B, T, features)."""
        _, state = self.memory(x, lengths=lengths)
        return self.head(state[-1])


class PackedClassifier(nn.Module):
    """The same with a layer of torch, whose rows are packed."""

    def __init__(self, features: int = 3, hidden_size: int = 16, labels: int = 2) -> None:
        super().__init__()
        self.memory = nn.GRU(features, hidden_size, batch_first=True)
        self.head = nn.Linear(hidden_size, labels)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Logits (B, labels) of x (B, T, features)."""
        _, state = self.memory(pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False))
        return self.head(state[-1])


def estimator(module: type[nn.Module] = Classifier, **options: object) -> NeuralNetClassifier:
    """An estimator for `fit`, `predict`, pipelines and grid searches (``module__hidden_size``)."""
    return NeuralNetClassifier(
        module, criterion=nn.CrossEntropyLoss, optimizer=torch.optim.Adam, lr=0.01, verbose=0, **options
    )


def first_signs(rows: int, steps: int, features: int = 3) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Rows of 2 to T steps, and whether the first number of the first step is positive."""
    random = np.random.default_rng(0)
    x = random.standard_normal((rows, steps, features), dtype=np.float32)
    lengths = random.integers(2, steps + 1, rows)
    return {"x": x, "lengths": lengths}, (x[:, 0, 0] > 0).astype(np.int64)


def cases(
    rows: int = 256, steps: int = 100, features: int = 32, hidden: int = 128
) -> dict[str, tuple[Callable[[], list[Tensor]], Callable[[], list[Tensor]]]]:
    """By what is computed, the usual way and ours; both return the losses of the same training."""
    data, labels = first_signs(rows, steps, features)
    weights = PackedClassifier(features, hidden).state_dict()

    def fit(module: type[nn.Module]) -> list[Tensor]:
        made = estimator(
            module,
            module__features=features,
            module__hidden_size=hidden,
            max_epochs=1,
            batch_size=32,
            train_split=None,
        ).initialize()
        made.module_.load_state_dict(weights)
        made.partial_fit(data, labels)
        return [torch.tensor(made.history[:, "train_loss"])]

    shape = f"{rows} rows of 2 to {steps} steps, {features} features, {hidden} units"
    return {f"an epoch of `fit`: {shape}": (lambda: fit(PackedClassifier), lambda: fit(Classifier))}


if __name__ == "__main__":
    data, labels = first_signs(rows=400, steps=12)
    net = estimator(max_epochs=15, batch_size=20).fit(data, labels)
    print(f"accuracy {net.score(data, labels):.2f}")
