"""A recurrent head on an encoder of transformers: `lengths=` or `mask=` from the attention mask, instead of packing.

pip install transformers
python examples/other_libraries/transformers_head.py
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from transformers import BertConfig, BertModel, PreTrainedModel

import gatewise


class Tagger(nn.Module):
    """Labels of tokens, from a bidirectional LSTM on the encoder's last hidden states."""

    def __init__(self, encoder: PreTrainedModel, hidden_size: int, labels: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.memory = gatewise.BiLSTM(encoder.config.hidden_size, hidden_size, batch_first=True)
        self.head = nn.Linear(2 * hidden_size, labels)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Logits (B, T, labels)."""
        x = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        # For tokenizers that pad on the left: mask=attention_mask.bool() instead.
        y, _ = self.memory(x, lengths=attention_mask.sum(1))
        return self.head(y)


def small_encoder() -> PreTrainedModel:
    """An encoder without pretrained weights; yours is AutoModel.from_pretrained(…)."""
    return BertModel(
        BertConfig(vocab_size=100, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64)
    )


def cases(
    rows: int = 32, steps: int = 128, features: int = 256, hidden: int = 128
) -> dict[str, tuple[Callable[[], list[Tensor]], Callable[[], list[Tensor]]]]:
    """By what is computed, the usual way and ours; both return outputs and gradients of the same weights."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(rows, steps, features, generator=generator)
    lengths = torch.randint(1, steps + 1, (rows,), generator=generator)
    lengths[0] = steps
    attention_mask = (torch.arange(steps) < lengths[:, None]).long()
    theirs = nn.LSTM(features, hidden, batch_first=True, bidirectional=True)
    ours = gatewise.BiLSTM(features, hidden, batch_first=True)
    ours.load_state_dict(theirs.state_dict())

    def packed() -> Tensor:
        row = pack_padded_sequence(x, attention_mask.sum(1).cpu(), batch_first=True, enforce_sorted=False)
        return pad_packed_sequence(theirs(row)[0], batch_first=True, total_length=steps)[0]

    def update(layer: nn.Module, forward: Callable[[], Tensor]) -> list[Tensor]:
        output = forward()
        return [output.detach(), *torch.autograd.grad(output.square().mean(), list(layer.parameters()))]

    def ours_by(**options: Tensor) -> Callable[[], list[Tensor]]:
        return lambda: update(ours, lambda: ours(x, **options)[0])

    shape = f"{rows} rows of 1 to {steps} tokens, {features} features, {hidden} units, both directions"
    return {
        f"`lengths=` beside packing, forward and backward: {shape}": (
            lambda: update(theirs, packed),
            ours_by(lengths=attention_mask.sum(1)),
        ),
        f"`mask=` beside packing, forward and backward: {shape}": (
            lambda: update(theirs, packed),
            ours_by(mask=attention_mask.bool()),
        ),
    }


if __name__ == "__main__":
    model = Tagger(small_encoder(), hidden_size=16, labels=5)
    tokens, attention_mask = torch.randint(100, (3, 7)), torch.tensor([[1] * 7, [1] * 4 + [0] * 3, [1] + [0] * 6])
    print(model(tokens, attention_mask).shape)
