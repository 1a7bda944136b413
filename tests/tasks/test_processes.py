"""Training in two processes: the losses of one, a dead one ends the run, and it resumes as if it had never stopped."""

import csv
import os
import pickle
import signal
import subprocess
import threading
import time
from types import SimpleNamespace

import pytest
import torch

import gatewise
from gatewise import cli
from gatewise.tasks import processes, world
from gatewise.tasks.api import resume
from gatewise.tasks.launcher import RankInfo
from gatewise.tasks.trainer import check_devices
from tests.forked import Forked, popen
from tests.tasks.small import SMALL, TEXT, losses
from tests.tasks.small_sequences import SMALL as SEQUENCES
from tests.tasks.small_sequences import labelled_texts, small_tokens

LANGUAGE = {**SMALL, "patience": 100}


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    """The machine is shared with other tests."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def forked(monkeypatch):
    """The processes of a run import nothing anew; how they are started otherwise is for tests without this."""
    monkeypatch.setattr(processes, "subprocess", SimpleNamespace(Popen=popen, PIPE=subprocess.PIPE))


def text(folder):
    path = folder / "text.txt"
    path.write_text(TEXT)
    return path


def measured(run):
    """The metrics as numbers, without the speed."""
    with (run / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [float(value) for row in rows for name, value in row.items() if value and "per_second" not in name]


def wait_for_rows(run, count):
    path = run / "metrics.csv"
    ends = time.monotonic() + 100
    while (path.read_text().count("\n") if path.exists() else 0) < count:
        assert time.monotonic() < ends
        time.sleep(0.005)


def in_thread(work):
    thread = threading.Thread(target=work)
    thread.start()
    return thread


@pytest.mark.usefixtures("forked")
def test_a_killed_process_ends_the_run_which_one_process_resumes_with_its_own_losses(tmp_path, monkeypatch, capfd):
    options = {**LANGUAGE, "data": text(tmp_path), "dropout": 0.0, "batch": 5, "epochs": 60}
    gatewise.train("lm", out=tmp_path / "one", **options)
    started, children = processes._started, []

    def remember(*arguments):
        children.append(started(*arguments))
        return children[-1]

    monkeypatch.setattr(processes, "_started", remember)
    run = tmp_path / "two"

    def kill():
        wait_for_rows(run, 12)
        children[1].send_signal(signal.SIGKILL)

    killer = in_thread(kill)
    with pytest.raises(ChildProcessError, match=rf"process 1 .* killed by SIGKILL; .*train lm --resume {run}$"):
        gatewise.train("lm", out=run, devices=2, **options)
    killer.join()
    assert not (run / "scores.json").exists()
    capfd.readouterr()
    resume(run, devices=1)
    assert "the saved state is of 2 processes, and 1 process resume" in capfd.readouterr().err
    assert measured(run) == pytest.approx(measured(tmp_path / "one"), rel=1e-3)
    one, two = (gatewise.load(folder).final_scores()["held_out"] for folder in (tmp_path / "one", run))
    assert two == pytest.approx(one, rel=1e-4)


@pytest.mark.usefixtures("forked")
def test_ctrl_c_saves_and_two_processes_resume_as_if_they_had_never_stopped(tmp_path, capfd):
    options = {**LANGUAGE, "data": text(tmp_path), "dropout": 0.25, "epochs": 3, "window": 5, "hidden": 32}
    run, whole = tmp_path / "run", tmp_path / "whole"
    gatewise.train("lm", out=whole, devices=2, **options)
    assert "in 2 processes, which share each batch of 4" in capfd.readouterr().err

    def interrupt():
        wait_for_rows(run, 25)
        os.kill(os.getpid(), signal.SIGINT)

    interrupting = in_thread(interrupt)
    with pytest.raises(KeyboardInterrupt):
        gatewise.train("lm", out=run, devices=2, **options)
    interrupting.join()
    said = capfd.readouterr().err
    assert said.endswith(f"stopped; to resume: gatewise train lm --resume {run}\n")
    assert "Traceback" not in said
    saved = torch.load(run / "state.ckpt", weights_only=True)
    steps = len(losses(whole)) - 1 - 3
    assert saved["global_step"] % (steps // 3) != 0  # inside an epoch, where states are carried on
    assert saved["carried_state"][0].shape == (1, 4, 32)
    resume(run)
    assert losses(run) == losses(whole)
    assert (run / "scores.json").read_bytes() == (whole / "scores.json").read_bytes()


@pytest.mark.usefixtures("forked")
def test_two_processes_train_and_score_whole_sequences_as_one(tmp_path):
    options = {**SEQUENCES, **small_tokens(), "dropout": 0.0, "unknown_weight": 0.0, "precision": "64", "batch": 3}
    options |= {"data": labelled_texts(tmp_path, 41), "epochs": 2, "accumulate": 2}
    for devices in (1, 2):
        gatewise.train("classify", out=tmp_path / str(devices), devices=devices, **options)
    assert measured(tmp_path / "2") == pytest.approx(measured(tmp_path / "1"), rel=1e-9)
    scores = [(tmp_path / name / "scores.json").read_bytes() for name in ("1", "2")]
    assert scores[0] == scores[1]


def test_the_processes_are_commands_that_read_the_request_and_leave_their_error():
    request = processes.Request("lm", {"hidden": 0}, None, None, 0.0)
    with pytest.raises(ValueError, match="hidden: expected"):
        processes.run(request, 2, processes.machine(1))


def test_processes_of_a_launcher_end_when_one_of_them_dies(tmp_path, capfd):
    run = tmp_path / "run"
    port = processes._store(processes.Machine(0, 1, "127.0.0.1", 0))  # holds a port that is free
    variables = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port[1])}
    variables |= {"TORCHELASTIC_USE_AGENT_STORE": "True"}
    command = ["train", "lm", "--hidden", "8", "--epochs", "10000", "--patience", "10000", "--batch", "4"]
    command += ["--data", str(text(tmp_path)), "--out", str(run)]
    ranks = [
        Forked(cli.main, command, env={**os.environ, **variables, "RANK": str(rank), "LOCAL_RANK": str(rank)})
        for rank in range(2)
    ]
    wait_for_rows(run, 5)
    ranks[1].kill()
    assert [rank.wait(60) for rank in ranks] == [2, -signal.SIGKILL]
    said = capfd.readouterr().err
    assert "Traceback" not in said
    assert said.splitlines()[-1].startswith("gatewise: error: process 1 of the run has ended unexpectedly")
    assert said.count("run folder: ") == 1  # of the first alone


def ended(folder, codes, errors):
    """What is raised where processes have ended with these exit codes, and some have left errors."""
    for rank, error in errors.items():
        processes.error_file(folder, rank).write_bytes(pickle.dumps(error))
    with pytest.raises(Exception) as raised:  # noqa: PT011
        processes._raise_first(folder, codes, 0)
    return raised.value


def test_the_error_of_a_process_is_raised(tmp_path):
    died = ChildProcessError("process 1 of the run has ended unexpectedly; resume")
    assert str(ended(tmp_path, [2, 2], {0: died, 1: ValueError("bad data")})) == "bad data"


def test_the_process_that_died_is_named(tmp_path):
    died = ChildProcessError("process 1 of the run has ended unexpectedly; resume")
    assert str(ended(tmp_path, [2, -11], {0: died})).startswith("process 1 of the run was killed by SIGSEGV;")
    (tmp_path / "again").mkdir()
    # The first one has not ended by itself.
    assert str(ended(tmp_path / "again", [None, 1], {})).startswith("process 1 of the run ended with exit code 1;")


def test_a_process_on_another_machine_died(tmp_path):
    died = ChildProcessError("process 3 of the run has ended unexpectedly; resume")
    assert ended(tmp_path, [2, 2], {0: died}).args == died.args


def test_several_machines_need_to_know_each_other(monkeypatch):
    for name in ("NODE_RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ValueError, match="NODE_RANK is not set"):
        processes.machine(2)
    for name, value in {"NODE_RANK": "2", "MASTER_ADDR": "n0", "MASTER_PORT": "29500"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match="NODE_RANK: expected a number from 0 to 1, got '2'"):
        processes.machine(2)
    monkeypatch.setenv("NODE_RANK", "1")
    assert processes.machine(2) == processes.Machine(1, 2, "n0", 29500)


@pytest.mark.parametrize(
    ("gpus", "device", "devices", "launched", "rejected"),
    [
        (0, "auto", 2, False, None),
        (0, "cuda", 1, False, "device: cuda"),
        (2, "auto", 2, False, None),
        (1, "auto", 2, False, "devices: 2 GPUs"),
        (2, "cuda", 3, False, "devices: 3 GPUs"),
        (1, "cpu", 2, False, None),
        (1, "auto", 4, True, None),  # one of its own for each
        (2, "auto", 4, True, "devices: 4 GPUs"),
    ],
)
def test_every_process_has_a_gpu_or_none_has(monkeypatch, gpus, device, devices, launched, rejected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(world, "rank_info", lambda: RankInfo(3, 4, 3, 4, "torchrun") if launched else None)
    if rejected is None:
        check_devices(device, devices)
        return
    with pytest.raises(ValueError, match=rejected):
        check_devices(device, devices)
