"""The metrics of a run for TensorBoard."""

import csv
import sys

import pytest

from gatewise.tasks.api import resume
from tests.tasks.small import train_small, train_until_a_step_breaks


def events(run):
    """By tag the scalars that TensorBoard shows, with their steps, and its histograms."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    read = accumulator.EventAccumulator(str(run / "tensorboard"), size_guidance={"scalars": 0, "histograms": 0})
    read.Reload()
    tags = read.Tags()
    scalars = {tag: [(event.step, event.value) for event in read.Scalars(tag)] for tag in tags["scalars"]}
    return scalars, {tag: read.Histograms(tag) for tag in tags["histograms"]}


def rows(run):
    with (run / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def noted(rows, name):
    return [(int(row["step"]), pytest.approx(float(row[name]))) for row in rows if row[name]]


@pytest.fixture
def _writer():
    pytest.importorskip("tensorboard")


@pytest.mark.usefixtures("_writer")
def test_it_has_the_numbers_of_the_file_and_histograms_of_gates(tmp_path):
    run = train_small(tmp_path, watch=2, logger="tensorboard").folder.path
    scalars, histograms = events(run)
    steps = rows(run)
    for group, names in {
        "training": ("loss", "learning_rate", "gradient_norm", "bits_per_character", "characters_per_second"),
        "watched": ("clipped", "gradient.h", "saturated.f"),
    }.items():
        for name in names:
            assert scalars[f"{group}/{name}"] == noted(steps, name)
    assert scalars["held_out/loss"] == noted(rows(run), "held_out_loss")
    assert set(histograms) == {f"gates/{gate}" for gate in "ifgo"}
    for found in histograms.values():
        assert [event.step for event in found] == [1, 3, 5, 7]
        assert all(event.histogram_value.num == 50 * 4 * 8 for event in found)
        assert all(event.histogram_value.max <= 1 for event in found)


@pytest.mark.usefixtures("_writer")
def test_a_resumed_run_takes_back_what_came_after_its_state(tmp_path):
    train_until_a_step_breaks(6, tmp_path, logger="tensorboard")  # saved after the first epoch, of four steps
    resume(tmp_path / "run")
    scalars, _ = events(tmp_path / "run")
    assert scalars["training/loss"] == noted(rows(tmp_path / "run"), "loss")
    assert len(list((tmp_path / "run" / "tensorboard").iterdir())) == 2


def test_without_the_package_it_says_what_to_install_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    message = r"the logger tensorboard needs tensorboard, which is not installed: pip install 'gatewise\[tensorboard\]'"
    with pytest.raises(ImportError, match=message):
        train_small(tmp_path, logger="tensorboard")
    assert not (tmp_path / "run").exists()


def test_it_is_not_loaded_unless_asked_for(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    train_small(tmp_path)
    assert not (tmp_path / "run" / "tensorboard").exists()
