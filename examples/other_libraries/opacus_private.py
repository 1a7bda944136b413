"""Opacus: differentially private training of a model with our layer, with its gradients of each row on the fast path.

pip install opacus
python examples/other_libraries/opacus_private.py
"""

from collections.abc import Callable

import torch
from opacus import GradSampleModule, PrivacyEngine
from opacus.grad_sample import register_grad_sampler
from opacus.layers import DPLSTM
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import gatewise


@register_grad_sampler([gatewise.RNN, gatewise.LSTM, gatewise.GRU, gatewise.PeepholeLSTM])
def gradients_of_each_row(
    layer: gatewise.Recurrent, activations: list[Tensor], backprops: Tensor
) -> dict[nn.Parameter, Tensor]:
    """The gradients (B, …) of the weights for each row of a batch.

    Without this Opacus finds them by `torch.func.vmap`, under which layers run on the reference.
    """
    parameters = [one for one in layer.parameters() if one.requires_grad]
    with torch.enable_grad():
        rows = [
            torch.autograd.grad(layer.forward(x), parameters, gradient)
            for x, gradient in zip(activations[0].split(1), backprops.split(1), strict=True)
        ]
    return {one: torch.stack(parts) for one, parts in zip(parameters, zip(*rows, strict=True), strict=True)}


class Classifier(nn.Module):
    """Labels of sequences; hooks expect one tensor of a layer: `return_state=False`."""

    def __init__(self, features: int = 3, hidden_size: int = 16, labels: int = 2) -> None:
        super().__init__()
        self.memory = gatewise.LSTM(features, hidden_size, batch_first=True, return_state=False)
        self.head = nn.Linear(hidden_size, labels)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, labels) of x (B, T, features)."""
        return self.head(self.memory(x)[:, -1])


def cases(
    rows: int = 32, steps: int = 50, features: int = 32, hidden: int = 128
) -> dict[str, tuple[Callable[[], list[Tensor]], Callable[[], list[Tensor]]]]:
    """By what is computed, the library's own way and ours; both return gradients of each row, of the same weights."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(rows, steps, features, generator=generator)
    weights = nn.LSTM(features, hidden).state_dict()
    theirs = DPLSTM(features, hidden, batch_first=True)
    ours = gatewise.LSTM(features, hidden, batch_first=True, return_state=False)
    for layer in (theirs, ours):
        layer.load_state_dict(weights)
    sampled = {layer: GradSampleModule(layer) for layer in (theirs, ours)}

    def update(layer: nn.Module) -> list[Tensor]:
        for parameter in layer.parameters():
            parameter.grad_sample = None
        result = sampled[layer](x)
        (result if isinstance(result, Tensor) else result[0]).square().mean().backward()
        found = {tuple(one.shape[1:]): one.grad_sample for one in layer.parameters()}
        return [found[shape] for shape in sorted(found)]

    shape = f"{rows} rows of {steps} steps, {features} features, {hidden} units"
    return {f"gradients of each row: {shape}": (lambda: update(theirs), lambda: update(ours))}


def train(epochs: int = 5) -> float:
    """Train on the sign of the sum of a feature; returns the epsilon spent at delta 1e-5."""
    torch.manual_seed(0)
    x = torch.randn(512, 6, 3)
    data = DataLoader(TensorDataset(x, (x[:, :, 0].sum(1) > 0).long()), batch_size=64)
    model = Classifier()
    engine = PrivacyEngine()
    model, optimizer, data = engine.make_private(
        module=model,
        optimizer=torch.optim.Adam(model.parameters(), lr=0.02),
        data_loader=data,
        noise_multiplier=1.0,
        max_grad_norm=1.0,
    )
    for _ in range(epochs):
        for rows, labels in data:
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(rows), labels).backward()
            optimizer.step()
    return engine.get_epsilon(1e-5)


if __name__ == "__main__":
    print(f"epsilon {train():.2f}")
