"""Captum: which steps and features moved a prediction, through our layer.

    pip install captum
    python examples/other_libraries/captum_attributions.py

`gatewise inspect` gives attributions for the tasks of gatewise; this is for models of your own.
"""

from collections.abc import Callable

import torch
from captum.attr import IntegratedGradients, LayerIntegratedGradients
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

import gatewise


class Classifier(nn.Module):
    """Labels of sequences, from the state at the true end of each row."""

    def __init__(self, features: int, hidden_size: int, labels: int) -> None:
        super().__init__()
        self.memory = gatewise.LSTM(features, hidden_size, batch_first=True)
        self.head = nn.Linear(hidden_size, labels)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Logits (B, labels) of x (B, T, features)."""
        _, (h, _) = self.memory(x, lengths=lengths)
        return self.head(h[-1])


class PackedClassifier(nn.Module):
    """The same with a layer of torch, whose rows are packed."""

    def __init__(self, features: int, hidden_size: int, labels: int) -> None:
        super().__init__()
        self.memory = nn.LSTM(features, hidden_size, batch_first=True)
        self.head = nn.Linear(hidden_size, labels)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Logits (B, labels) of x (B, T, features)."""
        _, (h, _) = self.memory(pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False))
        return self.head(h[-1])


class Hooked(nn.Module):
    """For attributions to the outputs of the layer itself, whose hooks expect one tensor: `return_state=False`."""

    def __init__(self, features: int, hidden_size: int, labels: int) -> None:
        super().__init__()
        self.memory = gatewise.LSTM(features, hidden_size, batch_first=True, return_state=False)
        self.head = nn.Linear(hidden_size, labels)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Logits (B, labels) of x (B, T, features)."""
        return self.head(self.memory(x, lengths=lengths).sum(1))


def attributions(model: nn.Module, x: Tensor, lengths: Tensor, label: int = 1) -> Tensor:
    """Integrated gradients (B, T, features) of the logit of a label."""
    return IntegratedGradients(model).attribute(x, target=label, additional_forward_args=lengths, n_steps=20)


def attributions_to_outputs(model: Hooked, x: Tensor, lengths: Tensor, label: int = 1) -> Tensor:
    """Integrated gradients (B, T, H) of the logit of a label, to the outputs of the layer."""
    method = LayerIntegratedGradients(model, model.memory)
    return method.attribute(x, target=label, additional_forward_args=lengths, n_steps=20)


def cases(
    rows: int = 16, steps: int = 100, features: int = 32, hidden: int = 128
) -> dict[str, tuple[Callable[[], list[Tensor]], Callable[[], list[Tensor]]]]:
    """By what is computed, the usual way and ours; both return attributions, through the same weights."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(rows, steps, features, generator=generator)
    lengths = torch.randint(1, steps + 1, (rows,), generator=generator)
    theirs, ours = PackedClassifier(features, hidden, 2).eval(), Classifier(features, hidden, 2).eval()
    ours.load_state_dict(theirs.state_dict())
    shape = f"{rows} rows of 1 to {steps} steps, {features} features, {hidden} units"
    return {
        f"integrated gradients, 20 steps: {shape}": (
            lambda: [attributions(theirs, x, lengths)],
            lambda: [attributions(ours, x, lengths)],
        )
    }


if __name__ == "__main__":
    torch.manual_seed(0)
    x, lengths = torch.randn(2, 5, 3), torch.tensor([5, 3])
    model = Classifier(features=3, hidden_size=8, labels=2).eval()
    print(attributions(model, x, lengths).norm(dim=-1))  # past the end of a row it is 0
    hooked = Hooked(features=3, hidden_size=8, labels=2).eval()
    print(attributions_to_outputs(hooked, x, lengths).norm(dim=-1))
