"""What the training of every task has in common: the gradient before the optimiser."""

import pytest
import torch
from torch import nn

from gatewise.tasks.numeric.options import NumericOptions
from gatewise.tasks.task import task_of
from tests.tasks.small_sequences import numeric_sequences


@pytest.mark.parametrize(("algorithm", "limit"), [("norm", 0.01), ("norm", 1e3), ("value", 1e-3)])
def test_gradients_are_clipped_as_torch_clips_them(tmp_path, algorithm, limit):
    options = NumericOptions(data=(numeric_sequences(tmp_path, "sequence"),), hidden=8, batch=8)
    module = task_of("numeric").prepare(options, None).module
    (batch, *_) = task_of("numeric").prepare(options, None).training
    module.training_step(batch, 0).backward()
    module.on_after_backward()
    copies = [nn.Parameter(parameter.detach().clone()) for parameter in module.model.parameters()]
    for copy, parameter in zip(copies, module.model.parameters(), strict=True):
        copy.grad = parameter.grad.clone()
    norm = nn.utils.get_total_norm([copy.grad for copy in copies])
    if algorithm == "norm":
        nn.utils.clip_grad_norm_(copies, limit)
    else:
        nn.utils.clip_grad_value_(copies, limit)
    module.configure_gradient_clipping(torch.optim.SGD(module.parameters(), lr=0.1), limit, algorithm)
    assert module.gradient_norm == float(norm)
    for copy, parameter in zip(copies, module.model.parameters(), strict=True):
        assert torch.equal(copy.grad, parameter.grad)
