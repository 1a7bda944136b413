"""Averaged weights: what they are, what is kept, and a run that is resumed."""

import shutil

import pytest
import safetensors.torch
import torch
from torch import nn

from gatewise.tasks import state_file
from gatewise.tasks.api import resume
from gatewise.tasks.averaging import AverageWeights
from gatewise.tasks.language_model.training import LanguageModelModule
from gatewise.tasks.training_options import TrainingOptions
from tests.tasks.small import losses, train_small


class Trainer:
    global_step = 0
    current_epoch = 0


class Module:
    def __init__(self):
        self.model = nn.Linear(1, 1, bias=False)

    def set(self, value):
        with torch.no_grad():
            self.model.weight.fill_(value)

    @property
    def value(self):
        return float(self.model.weight.detach())


def averages(values, **options):
    """What is validated after the last of some steps, whose weights have these values."""
    module, trainer = Module(), Trainer()
    module.set(100.0)
    callback = AverageWeights(module, TrainingOptions(**options))
    callback.on_train_start(trainer, module)
    for value in values:
        module.set(value)
        trainer.global_step += 1
        callback.on_train_batch_end(trainer, module, None, None, 0)
    callback.on_validation_start(trainer, module)
    found = module.value
    callback.on_validation_end(trainer, module)
    assert module.value == values[-1]
    callback.on_exception(trainer, module, KeyboardInterrupt())
    assert module.value == values[-1]
    return found


def test_the_mean_of_all_steps():
    assert averages([1.0, 2.0, 6.0], average="mean") == 3.0


def test_before_its_first_epoch_there_is_no_mean():
    assert averages([1.0, 2.0, 6.0], average="mean", average_from=2) == 6.0


def test_the_moving_average_forgets_the_first_steps_soon():
    # Decays min(0.5, (1 + n) / (10 + n)) after n steps: 2/11, 3/12.
    first = 2 / 11 * 1.0 + 9 / 11 * 2.0
    assert averages([1.0, 2.0, 6.0], average="ema", average_decay=0.5) == pytest.approx(0.25 * first + 0.75 * 6.0)
    assert averages([1.0] + [4.0] * 200, average="ema", average_decay=0.5) == pytest.approx(4.0)


def test_a_batch_that_ends_no_step_is_not_averaged():
    module, trainer = Module(), Trainer()
    callback = AverageWeights(module, TrainingOptions(average="mean"))
    callback.on_train_start(trainer, module)
    for value, step in ((1.0, 1), (1.0, 1), (3.0, 2)):
        module.set(value)
        trainer.global_step = step
        callback.on_train_batch_end(trainer, module, None, None, 0)
    assert float(callback.state_dict()["average"]["module.weight"]) == 2.0


def test_the_average_is_kept_and_training_continues_with_the_weights(tmp_path):
    plain = train_small(tmp_path, epochs=1, schedule="constant").folder.path
    (tmp_path / "mean").mkdir()
    seen = []
    step = LanguageModelModule.optimizer_step

    def watching(self, *args, **kwargs):
        step(self, *args, **kwargs)
        seen.append({name: weight.detach().clone() for name, weight in self.model.state_dict().items()})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LanguageModelModule, "optimizer_step", watching)
        run = train_small(tmp_path / "mean", epochs=1, schedule="constant", average="mean").folder.path
    of_steps = [line[:7] for line in losses(run)[:-1]]
    assert of_steps == [line[:7] for line in losses(plain)[:-1]]  # the steps are the same
    kept = safetensors.torch.load_file(run / "weights.safetensors")
    for name, weight in kept.items():
        torch.testing.assert_close(weight, torch.stack([one[name] for one in seen]).mean(0))


@pytest.mark.parametrize("average", ["ema", "mean"])
def test_a_resumed_run_has_the_same_average(tmp_path, monkeypatch, average):
    run, saved = tmp_path / "run", []
    save = state_file.SaveState._save

    def save_and_copy(self, trainer):
        save(self, trainer)
        saved.append(shutil.copytree(run, tmp_path / f"copy{len(saved)}"))

    monkeypatch.setattr(state_file, "SAVE_EVERY_SECONDS", 0.0)
    monkeypatch.setattr(state_file.SaveState, "_save", save_and_copy)
    train_small(tmp_path, average=average, warmup=3)
    monkeypatch.setattr(state_file.SaveState, "_save", save)
    expected = safetensors.torch.load_file(run / "weights.safetensors")
    for copy in (saved[1], saved[-2]):
        resume(copy)
        assert losses(copy) == losses(run)
        found = safetensors.torch.load_file(copy / "weights.safetensors")
        assert all(torch.equal(found[name], expected[name]) for name in expected)
