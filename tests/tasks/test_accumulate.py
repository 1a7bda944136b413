"""Several batches per step: the step of one large batch, also where an epoch does not divide."""

import csv

import pytest

import gatewise
from tests.tasks.small_sequences import SMALL, labelled_texts, small_tokens

OPTIONS = {**SMALL, **small_tokens(), "dropout": 0.0, "unknown_weight": 0.0, "precision": "64", "epochs": 1}


def steps(folder, texts, **options):
    gatewise.train("classify", data=texts, valid=texts, out=folder, **{**OPTIONS, **options})
    with (folder / "metrics.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["loss"]]
    return [[float(row[name]) for name in ("step", "loss", "accuracy", "gradient_norm")] for row in rows]


@pytest.mark.parametrize("accumulate", [3, 5])
def test_the_batches_of_an_epoch_in_one_step(tmp_path, accumulate):
    texts = labelled_texts(tmp_path, 24)
    (whole,) = steps(tmp_path / "whole", texts, batch=24)
    (parts,) = steps(tmp_path / "parts", texts, batch=8, accumulate=accumulate)
    assert parts == pytest.approx(whole, rel=1e-9)


def test_the_last_step_may_have_fewer_batches(tmp_path):
    texts = labelled_texts(tmp_path, 24)
    rare = {"lr": 1e-300, "optimizer": "sgd", "clip_norm": 1e9}
    single = steps(tmp_path / "single", texts, batch=8, **rare)
    double = steps(tmp_path / "double", texts, batch=8, accumulate=2, **rare)
    assert [row[0] for row in double] == [1, 2]
    assert double[0][1] == pytest.approx((single[0][1] + single[1][1]) / 2)
    assert double[1][1:] == pytest.approx(single[2][1:])
