"""Numbers of a step beside the embeddings of its categories."""

import torch

from gatewise.models.category_embedding import CategoryEmbedding


def test_numbers_stay_and_each_category_has_its_own_vectors():
    embedding = CategoryEmbedding(2, [[0, 5, 2], [0, 1]], 3).eval()
    numbers, categories = torch.randn(4, 2, 2), torch.tensor([[[2, 1], [0, 0]]]).expand(4, 2, 2)
    found = embedding(numbers, categories)
    assert found.shape == (4, 2, embedding.width) == (4, 2, 8)
    assert torch.equal(found[..., :2], numbers)
    for category, rows in enumerate(categories.unbind(-1)):
        table = embedding.categories[category].embedding.weight
        assert torch.equal(found[..., 2 + 3 * category : 5 + 3 * category], table[rows])


def test_rare_values_are_now_and_then_read_as_unknown_in_training():
    torch.manual_seed(0)
    embedding = CategoryEmbedding(1, [[0, 1, 10**9]], 1)
    numbers = torch.zeros(1000, 1, 1)
    unknown = embedding.categories[0].embedding.weight[0].item()
    shares = [
        (embedding(numbers, torch.full((1000, 1, 1), value))[..., 1] == unknown).float().mean().item()
        for value in (1, 2)
    ]
    assert 0.4 < shares[0] < 0.6
    assert shares[1] == 0
