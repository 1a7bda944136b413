"""Training in two processes: the losses of one, a dead one ends the run, and it resumes as if it had never stopped."""

import csv
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest
import torch

import gatewise
from gatewise.tasks import processes
from gatewise.tasks.verbs import resume
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


def test_a_run_of_two_processes_resumes_as_if_it_had_never_stopped(tmp_path, capfd):
    options = {**LANGUAGE, "data": text(tmp_path), "dropout": 0.25, "epochs": 30, "schedule": "plateau", "decay": 0.9}
    run, copy = tmp_path / "run", tmp_path / "copy"

    def copy_state():
        wait_for_rows(run, 13)
        copy.mkdir()
        shutil.copy(run / "state.ckpt", copy)  # replaced as a whole; what else there is only grows
        for path in run.iterdir():
            if path.is_file() and not path.name.startswith((".", "state", "scores", "plot")):
                shutil.copy(path, copy)

    copying = in_thread(copy_state)
    gatewise.train("lm", out=run, devices=2, **options)
    copying.join()
    said = capfd.readouterr().err
    assert "in 2 processes, which share each batch of 4" in said
    assert said.count("epoch 7:") == 1
    epoch = torch.load(copy / "state.ckpt", weights_only=True)["epoch"]
    assert epoch < 25
    (copy / "weights.safetensors").unlink()  # perhaps of a later epoch than the state
    resume(copy)
    assert losses(copy) == losses(run)


def test_two_processes_train_and_score_whole_sequences_as_one(tmp_path):
    options = {**SEQUENCES, **small_tokens(), "dropout": 0.0, "unknown_weight": 0.0, "precision": "64", "batch": 3}
    options |= {"data": labelled_texts(tmp_path, 41), "epochs": 2, "accumulate": 2}
    for devices in (1, 2):
        gatewise.train("classify", out=tmp_path / str(devices), devices=devices, **options)
    assert measured(tmp_path / "2") == pytest.approx(measured(tmp_path / "1"), rel=1e-9)
    scores = [(tmp_path / name / "scores.json").read_bytes() for name in ("1", "2")]
    assert scores[0] == scores[1]


def test_processes_of_a_launcher_end_when_one_of_them_dies(tmp_path):
    run = tmp_path / "run"
    port = processes._store(processes.Machine(0, 1, "127.0.0.1", 0))  # holds a port that is free
    place = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port[1])}
    place |= {"TORCHELASTIC_USE_AGENT_STORE": "True", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-m", "gatewise", "train", "lm", "--hidden", "8", "--epochs", "10000", "--patience"]
    command += ["10000", "--batch", "4", "--data", str(text(tmp_path)), "--out", str(run)]
    ranks = [
        subprocess.Popen(
            command, stderr=subprocess.PIPE, env={**os.environ, **place, "RANK": str(rank), "LOCAL_RANK": str(rank)}
        )
        for rank in range(2)
    ]
    wait_for_rows(run, 5)
    ranks[1].kill()
    _, said = ranks[0].communicate(timeout=60)
    assert ranks[0].returncode == 2
    assert b"Traceback" not in said
    assert said.splitlines()[-1].startswith(b"gatewise: error: process 1 of the run has ended unexpectedly")
    assert ranks[1].communicate()[1] == b""


def test_bad_data_is_reported_once_and_nothing_is_left(tmp_path, capfd):
    (tmp_path / "text.txt").write_text("short")
    with pytest.raises(ValueError, match="too short for one window"):
        gatewise.train("lm", data=tmp_path / "text.txt", out=tmp_path / "run", devices=2)
    assert [path.name for path in tmp_path.iterdir()] == ["text.txt"]
    assert "Traceback" not in capfd.readouterr().err


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
