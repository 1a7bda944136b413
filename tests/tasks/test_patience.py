"""When training stops."""

import pytest

from gatewise.tasks.options import choose
from gatewise.tasks.patience import PatientEarlyStopping
from gatewise.tasks.training_options import TrainingOptions


class Trainer:
    """What the callback asks for."""

    class Strategy:
        @staticmethod
        def reduce_boolean_decision(decision, all=False):
            return decision

    strategy = Strategy()
    fast_dev_run = should_stop = False
    world_size = 1
    state = None

    def __init__(self):
        self.callback_metrics, self.current_epoch = {}, 0


def epochs(patience, scores):
    """After how many epochs a run with these held-out scores stops."""
    import torch

    trainer, waiting = Trainer(), PatientEarlyStopping(patience)
    waiting._check_on_train_epoch_end = True
    waiting._should_skip_check = lambda trainer: False
    for epoch, score in enumerate(scores):
        trainer.current_epoch = epoch
        trainer.callback_metrics["criterion"] = torch.tensor(float(score))
        waiting.on_train_epoch_end(trainer, None)
        if trainer.should_stop:
            assert waiting.has_ended
            return epoch + 1
    assert not waiting.has_ended
    return None


def best_at(best, count=60):
    return [100 - epoch if epoch <= best else 100 for epoch in range(1, count + 1)]


@pytest.mark.parametrize(("best", "last"), [(1, 4), (3, 6), (6, 12), (12, 22), (30, 40)])
def test_auto_waits_for_as_many_epochs_as_there_were(best, last):
    assert epochs("auto", best_at(best)) == last


def test_a_better_score_begins_anew():
    assert epochs("auto", [9, 9, 9, 8, 8, 8, 7, *[7] * 20]) == 14  # best at 7


def test_a_number_is_what_it_says_and_none_never_stops():
    assert epochs(8, best_at(2)) == 10
    assert epochs(None, best_at(2)) is None


def test_it_is_an_option(tmp_path):
    assert choose(TrainingOptions, {"patience": 4}).patience == 4
    assert choose(TrainingOptions, {"patience": "auto"}).patience == "auto"
    (tmp_path / "a.toml").write_text('patience = "auto"\n')
    assert choose(TrainingOptions, {}, tmp_path / "a.toml").patience == "auto"
    with pytest.raises(ValueError, match="patience: expected a number or auto, got 'long'"):
        choose(TrainingOptions, {"patience": "long"})
    with pytest.raises(ValueError, match="patience: expected a number at least 1, got 0"):
        choose(TrainingOptions, {"patience": 0})
