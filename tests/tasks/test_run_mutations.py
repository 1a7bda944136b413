"""Run folders whose files random changes made invalid: opened, or rejected in one line that names them."""

import shutil

import pytest
import torch

import gatewise
from tests.mutations import check_reader
from tests.tasks.small import train_small
from tests.tasks.small_sequences import SMALL, SMALL_TOKENS, labelled_texts


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    train_small(folder)
    (folder / "texts").mkdir()
    options = {**SMALL, **SMALL_TOKENS, "epochs": 1}
    gatewise.train("classify", data=labelled_texts(folder / "texts"), out=folder / "texts" / "run", **options)
    return {"lm": folder / "run", "classify": folder / "texts" / "run"}


@pytest.mark.parametrize("task", ["lm", "classify"])
@pytest.mark.parametrize("name", ["config.toml", "run.json", "vocabulary.json", "weights.safetensors", "scores.json"])
def test_run_folders(runs, tmp_path, task, name):
    folder = tmp_path / "run"
    shutil.copytree(runs[task], folder)

    def read(path):
        model = gatewise.load(folder)
        return model.final_scores() if name == "scores.json" else model

    whole = gatewise.load(folder).model.state_dict()

    def check(found):
        if name == "weights.safetensors":  # which have a checksum: no other weights are ever loaded
            torch.testing.assert_close(found.model.state_dict(), whole, rtol=0, atol=0)

    check_reader(folder / name, (runs[task] / name).read_bytes(), read, check, folder)
