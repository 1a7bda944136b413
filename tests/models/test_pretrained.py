"""Embeddings that begin with given vectors: the given rows exactly, the others with the same spread."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.testing import assert_close

from gatewise.models.pretrained import initialise_embedding

MATRIX = np.random.default_rng(0).normal(3, 0.2, size=(4000, 5)).astype(np.float32)
FOUND = np.arange(4000) % 2 == 0


@pytest.mark.parametrize("frozen", [True, False])
def test_given_rows_are_exact_and_the_others_have_their_spread(frozen):
    torch.manual_seed(0)
    embedding = nn.Embedding(4000, 5)
    initialise_embedding(embedding, MATRIX, FOUND, frozen=frozen)
    weight = embedding.weight.detach()
    assert_close(weight[FOUND], torch.from_numpy(MATRIX[FOUND]), rtol=0, atol=0)
    drawn = weight[~FOUND]
    assert float(drawn.std()) == pytest.approx(0.2, rel=0.03)
    assert abs(float(drawn.mean())) < 0.01
    assert float(drawn.abs().max()) == pytest.approx(3**0.5 * 0.2, rel=0.03)


def test_frozen_rows_stay_and_others_are_fine_tuned():
    for frozen in (True, False):
        embedding, read_out = nn.Embedding(4000, 5), nn.Linear(5, 1)
        initialise_embedding(embedding, MATRIX, FOUND, frozen=frozen)
        before = embedding.weight.detach().clone()
        optimiser = torch.optim.AdamW([*embedding.parameters(), *read_out.parameters()], lr=0.1)
        read_out(embedding(torch.arange(10))).sum().backward()
        optimiser.step()
        assert torch.equal(embedding.weight, before) is frozen


def test_numbers_of_rows_that_were_not_found_are_not_read():
    matrix = MATRIX.copy()
    matrix[~FOUND] = np.nan
    embedding = nn.Embedding(4000, 5)
    initialise_embedding(embedding, matrix, FOUND)
    assert embedding.weight.isfinite().all()


def test_the_same_seed_draws_the_same_rows():
    drawn = []
    for _ in range(2):
        embedding = nn.Embedding(4000, 5)
        torch.manual_seed(3)
        initialise_embedding(embedding, MATRIX, FOUND)
        drawn.append(embedding.weight.detach())
    assert torch.equal(*drawn)


def test_padding_stays_zero_and_the_dtype_is_the_embeddings():
    embedding = nn.Embedding(4000, 5, padding_idx=2, dtype=torch.float64)
    initialise_embedding(embedding, torch.from_numpy(MATRIX), torch.from_numpy(FOUND))
    assert embedding.weight.dtype == torch.float64
    assert not embedding.weight[2].any()
    assert_close(embedding.weight[4].detach(), torch.from_numpy(MATRIX[4]).double())


@pytest.mark.parametrize(
    ("matrix", "found", "message"),
    [
        (MATRIX[:, :4], FOUND, r"matrix: expected the shape of the embedding \(V, E\) = \(4000, 5\), got \(4000, 4\)"),
        (MATRIX, FOUND[1:], r"found: expected 4000 of dtype bool, got \(3999,\) of torch.bool"),
        (MATRIX, FOUND.astype(np.int64), r"found: expected 4000 of dtype bool, got \(4000,\) of torch.int64"),
        (MATRIX, np.zeros(4000, dtype=bool), "found: not one word has a vector"),
    ],
)
def test_mistakes_leave_the_embedding_as_it_was(matrix, found, message):
    embedding = nn.Embedding(4000, 5)
    before = embedding.weight.detach().clone()
    with pytest.raises(ValueError, match=message):
        initialise_embedding(embedding, matrix, found)
    assert torch.equal(embedding.weight, before)
