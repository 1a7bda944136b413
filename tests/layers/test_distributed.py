"""Two processes that train together: a step equals one process's step on the whole batch."""

from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

import gatewise
from tests.forked import Forked

pytestmark = [
    pytest.mark.skipif(
        not torch.distributed.is_available() or not torch.distributed.is_gloo_available(),
        reason="this torch has no gloo",
    ),
]


class Model(nn.Module):
    def __init__(self, cell: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = gatewise.Recurrent(cell, 3, 8, 2, bidirectional=True, merge="learned")
        self.head = nn.Linear(8, 2)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        return self.head(self.layer(x, lengths=lengths)[0])


def train(model: nn.Module, x: Tensor, lengths: Tensor) -> None:
    optimiser = torch.optim.SGD(model.parameters(), lr=0.5)
    for _ in range(3):
        optimiser.zero_grad()
        model(x, lengths).square().mean().backward()
        optimiser.step()


def compare(wrapping: str, cell: str, rank: int, store: Path) -> None:
    """One of the two processes."""
    torch.set_num_threads(1)
    x = torch.randn(7, 4, 3, generator=torch.Generator().manual_seed(1))
    lengths = torch.tensor([7, 3, 1, 5])
    alone = Model(cell)
    before = [parameter.detach().clone() for parameter in alone.parameters()]
    train(alone, x, lengths)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    model = Model(cell)
    mine = slice(2 * rank, 2 * rank + 2)
    if wrapping == "ddp":
        train(DistributedDataParallel(model), x[:, mine], lengths[mine])
    else:
        mesh = init_device_mesh("cpu", (2,))
        fully_shard(model.layer, mesh=mesh)
        fully_shard(model, mesh=mesh)
        full = sum(parameter.numel() for parameter in model.parameters())
        assert sum(parameter.to_local().numel() for parameter in model.parameters()) < 0.6 * full
        train(model, x[:, mine], lengths[mine])
        model.reshard()
    for parameter, expected, old in zip(model.parameters(), alone.parameters(), before, strict=True):
        value = parameter.full_tensor() if wrapping == "fsdp" else parameter
        torch.testing.assert_close(value, expected)
        assert not torch.equal(expected, old)
    if wrapping == "fsdp":
        # Weights change while they are in pieces; what was gathered before must not be met again.
        for _ in range(4):
            gathered = {name: parameter.full_tensor() for name, parameter in model.named_parameters()}
            alone.load_state_dict(gatewise.interchange.declare(gathered, cell))
            with torch.no_grad():
                torch.testing.assert_close(model(x, lengths), alone(x, lengths))
                model.reshard()
                for parameter in model.parameters():
                    parameter.to_local().mul_(0.9)
    dist.destroy_process_group()


@pytest.mark.parametrize(("wrapping", "cell"), [("ddp", "lstm"), ("fsdp", "lstm"), ("fsdp", "gru_chung2014")])
def test_two_processes_train_as_one(wrapping: str, cell: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    workers = [Forked(compare, wrapping, cell, rank, tmp_path / "store") for rank in range(2)]
    codes = [worker.wait(120) for worker in workers]
    assert codes == [0, 0], capfd.readouterr().err[-3000:]


def draw_masks(rank: int, store: Path) -> None:
    """One of the two processes, both with the same seed of torch."""
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    layer = gatewise.LSTM(3, 64, variational=0.5).requires_grad_(False)
    x = torch.ones(3, 1, 3)
    for parameter in layer.parameters():  # an output of its own for every unit that is dropped
        parameter.copy_(torch.linspace(-1, 1, parameter.numel()).view(parameter.shape))
    for options in ({}, {"seed": 5}):
        torch.manual_seed(0)
        with gatewise.mask_seed(**options) if options else nullcontext():
            output = layer(x)[0].contiguous()
        both = [torch.empty_like(output) for _ in range(2)]
        dist.all_gather(both, output)
        assert not torch.equal(both[0], both[1]), options
    dist.destroy_process_group()


def test_two_processes_draw_masks_of_their_own(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    workers = [Forked(draw_masks, rank, tmp_path / "store") for rank in range(2)]
    codes = [worker.wait(120) for worker in workers]
    assert codes == [0, 0], capfd.readouterr().err[-3000:]
