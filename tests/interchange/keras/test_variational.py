"""Variational dropout, beside the ``recurrent_dropout`` of Keras 3 with the same masks."""

import pytest
import torch

import gatewise
from gatewise.kernels.masks import Masks, rates_of
from gatewise.layers.mask_seeds import drawn

# Keras itself calls NumPy so.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't:DeprecationWarning")

FORMS = {
    "rnn": ("SimpleRNN", {}, 0),
    "lstm": ("LSTM", {}, 4),
    "gru": ("GRU", {}, 3),
    "gru_before": ("GRU", {"reset_after": False}, 3),
}


@pytest.mark.parametrize("form", FORMS)
def test_it_is_the_recurrent_dropout_of_keras(keras, form):
    class_name, options, masks = FORMS[form]
    theirs = getattr(keras.layers, class_name)(5, recurrent_dropout=0.4, return_sequences=True, **options)
    theirs.build((None, None, 3))
    plain = getattr(keras.layers, class_name)(5, return_sequences=True, **options)
    plain.build((None, None, 3))
    plain.set_weights(theirs.get_weights())
    converted = gatewise.from_keras(plain)
    ours = gatewise.Recurrent(
        converted.cell, 3, 5, bias=converted.bias, batch_first=True, init="torch", variational=0.4, return_state=False
    )
    ours.load_state_dict(converted.state_dict())
    x = torch.randn(3, 6, 3)

    torch.manual_seed(7)
    (mask,) = ours.running_cell.masks
    rates = rates_of([mask], {mask.name: 0.4}, training=True)
    values = Masks(drawn(), rates).values(mask, 0, 0, 3, 5, x)
    assert 0 < (values == 0).sum() < values.numel()
    torch.manual_seed(7)
    output = ours(x)

    # Keras draws a mask for every gate; here all are ours.
    theirs.cell._recurrent_dropout_mask = [values] * masks if masks else values
    expected = theirs(x, training=True)
    torch.testing.assert_close(output, expected, atol=1e-5, rtol=1e-5)
    upstream = torch.randn(output.shape)
    gradients = torch.autograd.grad(output, list(ours.parameters()), upstream)
    of_keras = torch.autograd.grad(expected, [variable.value for variable in theirs.trainable_variables], upstream)
    # The layouts differ, the matrices are the same but for the order of their entries.
    found, right = (
        sorted(one.norm().item() for one in each if one.dim() == 2 and min(one.shape) > 2)
        for each in (gradients, of_keras)
    )
    assert found == pytest.approx(right, rel=1e-4)
