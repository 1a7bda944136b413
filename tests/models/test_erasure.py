"""What an answer loses when a step is erased."""

import torch
from torch.testing import assert_close

from gatewise.models import erasure
from gatewise.models.erasure import erasure_attributions


def test_each_step_is_erased_alone_however_many_go_together(monkeypatch):
    x = torch.randn(7, 3, dtype=torch.float64)

    def answer(x):
        return torch.stack((x.sum((0, 2)).tanh(), (x[1:] * x[:-1]).sum((0, 2))), 1)

    found = erasure_attributions(x, answer)
    for step in range(7):
        without = x.clone()
        without[step] = 0
        assert_close(found[step], (answer(x[:, None]) - answer(without[:, None]))[0])
    monkeypatch.setattr(erasure, "_MAX_STEPS", 15)
    rows = []
    assert_close(erasure_attributions(x, lambda x: rows.append(x.shape[1]) or answer(x)), found)
    assert rows == [1, 2, 2, 2, 1]


def test_each_feature_is_erased_alone_at_every_step(monkeypatch):
    x = torch.randn(4, 5, dtype=torch.float64)

    def answer(x):
        return (x[1:] * x[:-1]).sum((0, 2)).tanh()

    found = erasure_attributions(x, answer, [[feature] for feature in range(5)])
    assert found.shape == (5,)
    for feature in range(5):
        without = x.clone()
        without[:, feature] = 0
        assert_close(found[feature], (answer(x[:, None]) - answer(without[:, None]))[0])
    monkeypatch.setattr(erasure, "_MAX_STEPS", 8)
    assert_close(erasure_attributions(x, answer, [[feature] for feature in range(5)]), found)


def test_a_feature_may_have_several_columns():
    x = torch.randn(4, 5, dtype=torch.float64)
    found = erasure_attributions(x, lambda x: x.square().sum((0, 2)), [[0, 3], [], [1]])
    expected = torch.stack((x[:, [0, 3]].square().sum(), x.new_zeros(()), x[:, 1].square().sum()))
    assert_close(found, expected)
