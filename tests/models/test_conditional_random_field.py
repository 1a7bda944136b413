"""The linear chain over tags, against all sequences of tags written out."""

import itertools

import pytest
import torch
from torch.testing import assert_close

from gatewise.models.conditional_random_field import ConditionalRandomField

K, T = 3, 4
LENGTHS = torch.tensor([4, 2, 1, 0])


def field(*, constrained):
    torch.manual_seed(0)
    allowed = torch.ones(K + 1, K + 1, dtype=torch.bool)
    if constrained:
        allowed[0, 1] = allowed[K, 2] = allowed[1, K] = False
    made = ConditionalRandomField(allowed).double()
    torch.nn.init.normal_(made.transitions)
    return made


def by_hand(made, scores, tags):
    """The score of one sequence of tags, or None where it is forbidden."""
    around = [K, *tags, K]
    if any(not made.allowed[pair] for pair in itertools.pairwise(around)):
        return None
    moves = sum(made.transitions[pair] for pair in itertools.pairwise(around))
    return moves + sum(scores[step, tag] for step, tag in enumerate(tags))


@pytest.mark.parametrize("constrained", [False, True])
def test_probabilities_and_the_best_tags_are_those_of_all_sequences(constrained):
    made = field(constrained=constrained)
    scores = torch.randn(T, len(LENGTHS), K, dtype=torch.float64)
    best, probabilities = made.decode(scores, LENGTHS), made.probabilities(scores, LENGTHS)
    for row, length in enumerate(LENGTHS.tolist()):
        every = {tags: by_hand(made, scores[:, row], tags) for tags in itertools.product(range(K), repeat=length)}
        if length == 0:
            assert made.log_likelihood(scores, torch.zeros(T, 4, dtype=torch.int64), LENGTHS)[row] == 0
            continue
        valid = {tags: score for tags, score in every.items() if score is not None}
        assert constrained == (len(valid) < len(every))
        total = torch.logsumexp(torch.stack(list(valid.values())), 0)
        for step, tag in itertools.product(range(length), range(K)):
            share = sum((score - total).exp() for tags, score in valid.items() if tags[step] == tag)
            assert_close(probabilities[step, row, tag], torch.as_tensor(share, dtype=torch.float64))
        assert not probabilities[length:, row].any()
        assert tuple(best[:length, row].tolist()) == max(valid, key=lambda tags: valid[tags].item())
        for tags, score in every.items():
            padded = torch.zeros(T, len(LENGTHS), dtype=torch.int64)
            padded[:length, row] = torch.tensor(tags)
            found = made.log_likelihood(scores, padded, LENGTHS)[row]
            if score is None:
                assert found < -1000
            else:
                assert_close(found, score - total)


def test_the_gradient_is_that_of_finite_differences():
    made = field(constrained=True)
    scores = torch.randn(T, len(LENGTHS), K, dtype=torch.float64, requires_grad=True)
    tags = torch.tensor([[0, 2, 2, 0], [1, 1, 2, 2]]).T.repeat(1, 2)
    torch.autograd.gradcheck(lambda s, t: _with(made, t).log_likelihood(s, tags, LENGTHS), (scores, made.transitions))


def _with(made, transitions):
    copy = ConditionalRandomField(made.allowed).double()
    del copy.transitions
    copy.transitions = transitions
    return copy


def test_values_in_the_padding_are_ignored():
    made = field(constrained=False)
    scores = torch.randn(T, len(LENGTHS), K, dtype=torch.float64)
    tags = torch.randint(K, (T, len(LENGTHS)))
    other_scores, other_tags = scores.clone(), tags.clone()
    for row, length in enumerate(LENGTHS.tolist()):
        other_scores[length:, row] = 1e6
        other_tags[length:, row] = 0
    found, other = (made.log_likelihood(s, t, LENGTHS) for s, t in ((scores, tags), (other_scores, other_tags)))
    assert_close(found, other)
    best, other_best = made.decode(scores, LENGTHS), made.decode(other_scores, LENGTHS)
    for row, length in enumerate(LENGTHS.tolist()):
        assert torch.equal(best[:length, row], other_best[:length, row])


@pytest.mark.parametrize("size", [1.0, 300.0])
def test_scores_of_any_size_have_finite_gradients(size):
    made = field(constrained=True).float()
    scores = (size * torch.randn(T, len(LENGTHS), K)).requires_grad_()
    tags = made.decode(scores.detach(), LENGTHS)
    found = made.log_likelihood(scores, tags, LENGTHS)
    found.sum().backward()
    assert (found <= 1e-3).all()
    assert scores.grad is not None
    assert scores.grad.isfinite().all()
    assert made.transitions.grad.isfinite().all()


def test_lengths_may_be_a_list_and_are_checked():
    field = ConditionalRandomField(tag_count=3)
    scores, tags = torch.randn(4, 2, 3), torch.zeros(4, 2, dtype=torch.int64)
    for lengths in ([4, 2], torch.tensor([4, 2], dtype=torch.int32)):
        expected = torch.tensor([4, 2])
        assert field.log_likelihood(scores, tags, lengths).equal(field.log_likelihood(scores, tags, expected))
        assert field.probabilities(scores, lengths).equal(field.probabilities(scores, expected))
        assert field.decode(scores, lengths).equal(field.decode(scores, expected))
    with pytest.raises(ValueError, match=r"lengths: expected shape \(B=2,\), got \(3,\)"):
        field.decode(scores, [4, 2, 1])
    for lengths, wrong in (([4, 5], 5), ([-1, 4], -1)):
        message = f"lengths: expected values between 0 and T=4, the number of steps of input, got {wrong}; pass"
        for run in (field.decode, field.probabilities, lambda *given: field.log_likelihood(given[0], tags, given[1])):
            with pytest.raises(ValueError, match=message):
                run(scores, lengths)
