"""Threads of a run."""

import pytest
import torch

from gatewise.tasks.language_model.training import LanguageModelModule
from tests.tasks.small import train_small


@pytest.mark.parametrize("threads", [1, 3])
def test_a_run_computes_with_its_threads_and_puts_back_those_before(tmp_path, monkeypatch, threads):
    seen = set()
    step = LanguageModelModule.training_step

    def watching(self, batch, batch_idx):
        seen.add(torch.get_num_threads())
        return step(self, batch, batch_idx)

    monkeypatch.setattr(LanguageModelModule, "training_step", watching)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        train_small(tmp_path, epochs=1, threads=threads)
        assert seen == {threads}
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
