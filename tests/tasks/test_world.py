"""What the processes of a run tell each other, and when they wait for it."""

import pytest
import torch

from gatewise.tasks import world
from gatewise.tasks.language_model.module import LanguageModelModule
from gatewise.tasks.launcher import RankInfo
from tests.tasks.small import train_small


def test_a_step_waits_for_no_sum_but_that_of_gradients(tmp_path, monkeypatch):
    """Predictions are added while the network computes, and what is reported of the step during backward."""
    events = []
    begin_add, network = world.begin_add, LanguageModelModule._nats

    def begin(*numbers):
        events.append(("begin", len(numbers)))
        end = begin_add(*numbers)
        return lambda: [events.append(("end", len(numbers))), *end()][1:]

    def computing(self, *arguments):
        events.append("network")
        return network(self, *arguments)

    def backward(self, loss):
        events.append("backward")
        loss.backward()

    monkeypatch.setattr(world, "begin_add", begin)
    monkeypatch.setattr(LanguageModelModule, "_nats", computing)
    monkeypatch.setattr(LanguageModelModule, "backward", backward)
    train_small(tmp_path, epochs=1)
    step = [("begin", 1), "network", ("end", 1), ("begin", 5), "backward", ("end", 5)]
    assert events[:12] == step + step


@pytest.fixture
def met(monkeypatch):
    """What the processes meet where no one listens: the backend of collectives, and the GPU that is set."""
    found = {}

    class Store:
        set = wait = staticmethod(lambda *arguments: None)

    def init(backend, **options):
        found.update(backend=backend, rank=options["rank"], world_size=options["world_size"])

    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", "29500")
    monkeypatch.setattr(world, "rendezvous", lambda *arguments, **options: iter([(Store(), 0, 0)]))
    monkeypatch.setattr(world.distributed, "init_process_group", init)
    monkeypatch.setattr(world, "Peers", lambda *arguments: None)
    monkeypatch.setattr(world, "_peers", None)
    monkeypatch.setattr(torch.cuda, "set_device", lambda index: found.update(gpu=index))
    return found


@pytest.mark.parametrize(
    ("gpus", "device", "backend", "gpu"),
    [
        (0, "auto", "gloo", None),
        (0, "cpu", "gloo", None),
        (4, "cpu", "gloo", None),
        (4, "auto", "cpu:gloo,cuda:nccl", 3),
        (4, "cuda", "cpu:gloo,cuda:nccl", 3),
        (1, "auto", "cpu:gloo,cuda:nccl", 0),  # the launcher shows each process its own alone
    ],
)
def test_gradients_on_gpus_are_exchanged_by_nccl_and_the_rest_by_gloo(met, monkeypatch, gpus, device, backend, gpu):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    world._join_process_group(RankInfo(7, 8, 3, 4, "torchrun"), device)
    assert met == {"backend": backend, "rank": 7, "world_size": 8} | ({} if gpu is None else {"gpu": gpu})


def test_processes_that_cannot_meet_say_where(met, monkeypatch):
    def reject(*arguments, **options):
        raise RuntimeError("connection timed out\nand a trace of C++")

    monkeypatch.setattr(world, "rendezvous", reject)
    with pytest.raises(
        ConnectionError, match=r"^process 1 of 2 could not meet .* 127.0.0.1:29500, .*: connection timed out$"
    ):
        world._join_process_group(RankInfo(1, 2, 1, 2, "torchrun"), "cpu")
