"""The memory that training needs is reported before any of it is allocated."""

import re

import pytest
import torch

import gatewise
from gatewise.data.batches import RaggedBatches
from gatewise.data.streams import Streams
from gatewise.models.language_model import LanguageModel
from gatewise.tasks import memory
from gatewise.tasks.memory import RequiredMemory, check_fits, make_checked, memory_limit, required_memory
from gatewise.tasks.schedules import make_optimizer
from gatewise.tasks.training_options import TrainingOptions
from tests.tasks.small import train_small
from tests.tasks.small_sequences import labelled_texts


def model():
    return LanguageModel(10, 3, 5, num_layers=2)


@pytest.mark.parametrize(
    ("changes", "copies", "size"),
    [({}, 4, 4), ({"optimizer": "sgd"}, 2, 4), ({"optimizer": "rmsprop"}, 3, 4), ({"precision": "64"}, 4, 8)],
)
def test_parameters_their_gradients_and_what_the_optimiser_keeps(changes, copies, size):
    options = TrainingOptions(**changes)
    count = sum(parameter.numel() for parameter in model().parameters())
    assert required_memory(model(), options) == RequiredMemory(size * copies * count, 0)
    optimizer = memory_of_a_step(options)
    assert optimizer == (copies - 2) * count


def memory_of_a_step(options):
    """The numbers that the optimiser keeps after a step."""
    trained = model()
    optimizer = make_optimizer(options, trained)
    trained(torch.zeros(2, 1, dtype=torch.int64))[0].sum().backward()
    optimizer.step()
    states = [state for of_parameter in optimizer.state.values() for state in of_parameter.values()]
    return sum(state.numel() for state in states if state.dim())


def test_frozen_parameters_have_no_gradient():
    frozen = model()
    frozen.embedding.weight.requires_grad_(False)
    assert (
        required_memory(model(), TrainingOptions()).parameters - required_memory(frozen, TrainingOptions()).parameters
        == 3 * 4 * 30
    )


def test_what_a_batch_keeps_grows_with_it():
    # Two layers of an LSTM with four gates of five units, and ten scores with their gradients.
    assert required_memory(model(), TrainingOptions(), 7).batch == 4 * 7 * (2 * 20 + 2 * 10)


def test_the_largest_batch():
    assert RaggedBatches([3, 1, 2, 1, 9], list, size=2).most_steps == 18
    assert RaggedBatches([3], list, size=8).most_steps == 3
    assert RaggedBatches([3, 1, 2, 1, 9], list, steps=4).most_steps == 9
    assert RaggedBatches([], list).most_steps == 0
    assert Streams(torch.arange(100), 4, 10).most_steps == 40
    assert Streams(torch.arange(9), 4, 10).most_steps == 8


def test_initial_weights_are_those_of_the_seed_and_nothing_is_allocated_for_the_check(monkeypatch):
    options = TrainingOptions(seed=3)
    torch.manual_seed(3)
    expected = model().state_dict()
    found = make_checked(model, options, None).state_dict()
    assert all(torch.equal(found[name], weight) for name, weight in expected.items())
    devices = []
    monkeypatch.setattr(memory, "memory_limit", lambda device: (1000, "this machine"))

    def make():
        made = model()
        devices.append(made.W_hy.device.type)
        return made

    message = (
        r"training needs at least 8.3 KiB of memory .* and this machine has 1000 bytes; the largest parameter is rec"
    )
    with pytest.raises(ValueError, match=message):
        make_checked(make, options, None)
    assert devices == ["meta"]


@pytest.mark.parametrize("task", ["lm", "classify"])
def test_a_network_for_which_there_is_no_memory_is_reported_before_data_is_read(tmp_path, task):
    message = "training needs at least 58.2 TiB of memory"
    with pytest.raises(ValueError, match=re.escape(message)):
        gatewise.train(task, hidden=1_000_000, data=tmp_path / "missing.csv", out=tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_a_batch_for_which_there_is_no_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "memory_limit", lambda device: (2_000_000, "this machine"))
    options = {"spelling": "none", "embedding_size": 8, "hidden": 16, "batch": 4, "epochs": 1}
    gatewise.train("classify", data=labelled_texts(tmp_path), out=tmp_path / "run", **options)
    monkeypatch.setattr(memory, "memory_limit", lambda device: (90_000, "this machine"))
    with pytest.raises(ValueError, match=r"KiB for the largest batch\), .* try smaller sizes or a smaller batch"):
        gatewise.train("classify", data=labelled_texts(tmp_path), out=tmp_path / "other", **{**options, "batch": 80})
    assert not (tmp_path / "other").exists()


def test_the_summary_of_a_run_has_the_estimate(tmp_path, capsys):
    train_small(tmp_path, epochs=1)
    line = next(line for line in capsys.readouterr().err.splitlines() if line.startswith("memory: "))
    assert re.fullmatch(
        r"memory: at least .* KiB for parameters, gradients and the optimiser, .* KiB for a batch", line
    )


def test_the_limit_is_the_least_of_machine_control_group_and_process(tmp_path, monkeypatch):
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("0::/\n")
    (tmp_path / "sys/fs/cgroup").mkdir(parents=True)
    (tmp_path / "sys/fs/cgroup/memory.max").write_text("4096\n")
    assert memory._control_group_limits(tmp_path) == [4096]
    (tmp_path / "sys/fs/cgroup/memory.max").write_text("max\n")
    assert memory._control_group_limits(tmp_path) == [float("inf")]
    (tmp_path / "proc/self/cgroup").write_text("3:memory:/docker/ab\n")
    (tmp_path / "sys/fs/cgroup/memory").mkdir()
    (tmp_path / "sys/fs/cgroup/memory/memory.limit_in_bytes").write_text("8192\n")
    assert memory._control_group_limits(tmp_path) == [8192]
    (tmp_path / "sys/fs/cgroup/memory/memory.limit_in_bytes").write_text("9223372036854771712\n")
    assert memory._control_group_limits(tmp_path) == [float("inf")]
    (tmp_path / "proc/meminfo").write_text("MemTotal: 99 kB\nSwapTotal:       3 kB\n")
    assert memory._swap_space(tmp_path) == 3072
    monkeypatch.setattr(memory, "_physical_memory", lambda: 10_000)
    monkeypatch.setattr(memory, "_swap_space", lambda: 500)
    monkeypatch.setattr(memory, "_control_group_limits", lambda: [3_000])
    monkeypatch.setattr(memory, "_address_space", lambda: 4_000)
    assert memory_limit()[0] == 3_500
    monkeypatch.setattr(memory, "_address_space", lambda: 2_000)
    assert memory_limit()[0] == 2_000


def test_what_just_fits(monkeypatch):
    monkeypatch.setattr(memory, "memory_limit", lambda device: (10, "this machine"))
    check_fits(model(), RequiredMemory(6, 4), TrainingOptions())
    with pytest.raises(ValueError, match="11 bytes"):
        check_fits(model(), RequiredMemory(6, 5), TrainingOptions())
