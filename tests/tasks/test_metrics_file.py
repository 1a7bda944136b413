"""The metrics of a run as rows of a file."""

import resource
from types import SimpleNamespace

import pytest

from gatewise.tasks.measure import Measure
from gatewise.tasks.metrics_file import MetricsFile
from gatewise.tasks.speed import Speed


def test_a_full_disk_leaves_whole_rows(tmp_path):
    path = tmp_path / "metrics.csv"
    module = SimpleNamespace(measure=Measure("perplexity", "words"))
    trainer = SimpleNamespace(global_step=7, current_epoch=0, callback_metrics={"held_out_loss": 1.5, "held_out": 4.5})
    metrics = MetricsFile(path, module, Speed(module))
    metrics.on_fit_start(trainer, module)
    metrics.on_validation_end(trainer, module)
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 5, limits[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            metrics.on_validation_end(trainer, module)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before
    assert metrics.state_dict()["length"] == len(before)
