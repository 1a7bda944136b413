"""The read-out and its loss in one: the same numbers and gradients as in two."""

import pytest
import torch
from torch.nn import functional

from gatewise.models import vocabulary_loss as module
from gatewise.models.vocabulary_loss import vocabulary_loss


def inputs(rows=7, size=5, width=3, scale=1.0):
    torch.manual_seed(0)
    h, W, b = torch.randn(rows, width) * scale, torch.randn(size, width), torch.randn(size)
    return [one.double().requires_grad_() for one in (h, W, b)], torch.randint(size, (rows,))


@pytest.mark.parametrize("cells", [1, 10, 10_000])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("scale", [1.0, 1e3])
def test_it_is_the_cross_entropy(monkeypatch, cells, smoothing, scale):
    monkeypatch.setattr(module, "_LOGITS_AT_A_TIME", cells)
    (h, W, b), targets = inputs(scale=scale)
    found = vocabulary_loss(h, W, b, targets, smoothing)
    scores = functional.linear(h, W, b)
    expected = functional.cross_entropy(scores, targets, reduction="sum", label_smoothing=smoothing)
    torch.testing.assert_close(found.objective, expected)
    torch.testing.assert_close(found.loss_sum, functional.cross_entropy(scores, targets, reduction="sum"))
    assert int(found.correct) == int((scores.argmax(1) == targets).sum())
    (found.objective * 0.7).backward()
    gradients = [one.grad for one in (h, W, b)]
    for one, gradient in zip((h, W, b), gradients, strict=True):
        (exact,) = torch.autograd.grad(expected * 0.7, one, retain_graph=True)
        torch.testing.assert_close(gradient, exact)


def test_gradients_are_those_of_differences():
    (h, W, b), targets = inputs()
    assert torch.autograd.gradcheck(lambda *leaves: vocabulary_loss(*leaves, targets, 0.2).objective, (h, W, b))


def test_without_gradients_none_are_made():
    (h, W, b), targets = inputs()
    with torch.no_grad():
        assert not vocabulary_loss(h, W, b, targets).objective.requires_grad


def test_under_autocast_it_computes_in_the_precision_of_the_weights():
    (h, W, b), targets = inputs()
    h, W, b = (one.detach().float().requires_grad_() for one in (h, W, b))
    with torch.autocast("cpu", torch.bfloat16):
        found = vocabulary_loss(h.bfloat16(), W, b, targets, 0.1)
    assert found.objective.dtype == torch.float32
    found.objective.backward()
    assert W.grad is not None
    assert W.grad.dtype == torch.float32
