"""Ray Train: a model with our layers in several worker processes.

    pip install "ray[train]"
    python examples/other_libraries/ray_train.py

Nothing of the layer is particular here: its parameters synchronise under DistributedDataParallel as those of torch do,
its compiled kernels run in every worker, and its weights travel in a state_dict. `gatewise train --devices N` does this
for the tasks of gatewise.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ray.train
import torch
from ray.train import Checkpoint, RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer, prepare_model
from torch import Tensor, nn

import gatewise


class Classifier(nn.Module):
    """Whether the first number of a sequence is positive."""

    def __init__(self, hidden_size: int = 32) -> None:
        super().__init__()
        self.memory = nn.GRU(3, hidden_size, batch_first=True)
        self.head = nn.Linear(hidden_size, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, 2) of x (B, T, 3)."""
        return self.head(self.memory(x)[0][:, -1])


def made(layer: str, hidden_size: int = 32) -> Classifier:
    """The model with torch's layer, or with ours, from the same initial weights."""
    torch.manual_seed(0)
    model = Classifier(hidden_size)
    if layer == "gatewise":
        gatewise.replace(model)
    return model


def loss_of(model: nn.Module, x: Tensor) -> Tensor:
    """The loss on sequences (B, T, 3)."""
    return nn.functional.cross_entropy(model(x), (x[:, 0, 0] > 0).long())


def train_worker(options: dict[str, Any]) -> None:
    """What each worker runs: its share of each batch, gradients averaged over all."""
    context = ray.train.get_context()
    rank, workers = context.get_world_rank(), context.get_world_size()
    torch.set_num_threads(1)
    model = made(options["layer"])
    parallel = prepare_model(model)
    optimizer = torch.optim.Adam(parallel.parameters(), lr=0.01)
    generator = torch.Generator().manual_seed(1)  # every worker draws the same batches
    loss = torch.zeros(())
    for _ in range(options["steps"]):
        x = torch.randn(64, options["length"], 3, generator=generator)
        loss = loss_of(parallel, x[rank::workers])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with tempfile.TemporaryDirectory() as folder:
        torch.save(model.state_dict(), Path(folder) / "model.pt")
        ray.train.report({"loss": loss.item()}, checkpoint=Checkpoint.from_directory(folder))


def train(folder: str | Path, layer: str = "gatewise", workers: int = 2, steps: int = 100) -> dict[str, Tensor]:
    """Train, leave Ray's files in a folder, and return the weights."""
    trainer = TorchTrainer(
        train_worker,
        train_loop_config={"layer": layer, "steps": steps, "length": 10},
        scaling_config=ScalingConfig(num_workers=workers),
        run_config=RunConfig(storage_path=str(folder), name=layer),
    )
    with trainer.fit().checkpoint.as_directory() as saved:
        return torch.load(Path(saved) / "model.pt")


def cases(
    rows: int = 32, steps: int = 100, hidden: int = 128
) -> dict[str, tuple[Callable[[], list[Tensor]], Callable[[], list[Tensor]]]]:
    """By what is computed, with torch's layer and with ours; both return the loss and gradients of the same weights."""
    x = torch.randn(rows, steps, 3, generator=torch.Generator().manual_seed(0))

    def update(model: Classifier) -> list[Tensor]:
        loss = loss_of(model, x)
        return [loss.detach(), *torch.autograd.grad(loss, list(model.parameters()))]

    theirs, ours = made("torch", hidden), made("gatewise", hidden)
    shape = f"{rows} rows of {steps} steps, {hidden} units"
    return {f"forward and backward in a worker: {shape}": (lambda: update(theirs), lambda: update(ours))}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as files:
        weights = train(files)
    model = Classifier()
    model.load_state_dict(weights)
    print(f"loss {loss_of(model, torch.randn(1000, 10, 3)).item():.2f}")
