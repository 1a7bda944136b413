"""The best answers: beside all that there are, beside greedy steps, in a batch and alone."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gatewise.models.beam_search import beam_search, length_norm
from tests.models.test_sequence_to_sequence import small_model

END = 3


def sources(rows=3):
    torch.manual_seed(1)
    return torch.randint(9, (5, rows)), torch.tensor([5, 1, 3][:rows])


def every_answer(model, source, longest, penalty):
    """All sequences of tokens up to a length, with their scores."""
    found = []
    size = model.decoder.weight.shape[0]
    others = [token for token in range(size) if token != END]
    for length in range(1, longest + 1):
        for tokens in itertools.product(others, repeat=length - 1):
            for last in range(size) if length == longest else [END]:
                answer = [*tokens, last]
                before = torch.tensor([END, *answer[:-1]])[:, None]
                features, _ = model((source[:, None], before, torch.tensor([length])), torch.tensor([len(source)]))
                scores = (features[:, 0] @ model.decoder.weight.t() + model.decoder.b_y).log_softmax(-1)
                total = float(scores[range(length), answer].sum())
                found.append((answer[:-1] if last == END else answer, total, total / length_norm(length, penalty)))
    return sorted(found, key=lambda one: -one[2])


@pytest.mark.parametrize("kind", ["luong-general", "bahdanau", "none"])
@pytest.mark.parametrize("penalty", [0.0, 1.0, 2.5])
def test_a_beam_that_holds_everything_finds_the_best_of_all_answers(kind, penalty):
    model = small_model(kind, "lstm", size=4)
    source, lengths = sources()
    with torch.no_grad():
        start = model.begin(source, lengths)
        found = beam_search(model.decoder, start, END, width=40, max_length=3, penalty=penalty)
        for row, length in enumerate(lengths.tolist()):
            expected = every_answer(model, source[:length, row], 3, penalty)
            assert len(expected) == 1 + 3 + 9 * 4
            best = found[row][0]
            assert best.tokens == expected[0][0]
            assert best.log_probability == pytest.approx(expected[0][1])
            assert best.score == pytest.approx(expected[0][2])


def test_all_answers_come_in_order_when_none_can_be_pruned_early():
    model = small_model(size=4)
    source, lengths = sources(1)
    with torch.no_grad():
        # To end is likely, but so much weight is on length that a continued hypothesis might always win.
        model.decoder.b_y[END] = 2.0
        start = model.begin(source, lengths)
        (found,) = beam_search(model.decoder, start, END, width=40, max_length=3, penalty=30.0)
        expected = every_answer(model, source[:, 0], 3, 30.0)
    assert [one.tokens for one in found] == [tokens for tokens, _, _ in expected]


@pytest.mark.parametrize("kind", ["luong-dot", "bahdanau"])
def test_width_1_is_greedy(kind):
    model = small_model(kind, seed=4)
    source, lengths = sources()
    with torch.no_grad():
        start = model.begin(source, lengths)
        for row, found in enumerate(beam_search(model.decoder, start, END, max_length=6)):
            alone = model.begin(source[: lengths[row], row, None], lengths[row, None])
            token, state, answer, total = END, alone.state, [], 0.0
            while len(answer) < 6:
                scores, state = model.decoder.step(torch.tensor([[token]]), alone.memory, state)
                token = int(scores[0, 0].argmax())
                total += float(scores[0, 0].log_softmax(0)[token])
                if token == END:
                    break
                answer.append(token)
            (one,) = found
            assert one.tokens == answer
            assert one.log_probability == pytest.approx(total)


@given(st.integers(0, 1000), st.integers(1, 6), st.sampled_from([0.0, 0.6, 1.0]))
def test_a_row_is_answered_alone_as_among_others(seed, width, penalty):
    model = small_model(seed=seed)
    with torch.no_grad():
        # Answers of very different lengths, so that rows are dropped while others continue.
        model.decoder.b_y[END] = 1.0
        source, lengths = torch.randint(9, (5, 6)), torch.tensor([5, 1, 3, 2, 5, 4])
        together = beam_search(
            model.decoder, model.begin(source, lengths), END, width=width, max_length=8, penalty=penalty
        )
        for row, length in enumerate(lengths.tolist()):
            start = model.begin(source[:length, row, None], lengths[row, None])
            (alone,) = beam_search(model.decoder, start, END, width=width, max_length=8, penalty=penalty)
            assert [one.tokens for one in alone] == [one.tokens for one in together[row]]
            assert [one.score for one in alone] == pytest.approx([one.score for one in together[row]])


@given(st.integers(0, 1000))
def test_scores_are_in_order_and_those_of_the_answers(seed):
    model = small_model(seed=seed)
    source, lengths = sources()
    with torch.no_grad():
        found = beam_search(model.decoder, model.begin(source, lengths), END, width=5, max_length=7, penalty=0.8)
    for row, answers in enumerate(found):
        assert 1 <= len(answers) <= 5
        assert answers == sorted(answers, key=lambda one: -one.score)
        assert len({tuple(one.tokens) for one in answers}) == len(answers)
        for one in answers:
            ended = [*one.tokens, END][:7]
            before = torch.tensor([END, *ended[:-1]])[:, None]
            inputs = (source[: lengths[row], row, None], before, torch.tensor([len(ended)]))
            with torch.no_grad():
                features, _ = model(inputs, lengths[row, None])
                scores = (features[:, 0] @ model.decoder.weight.t() + model.decoder.b_y).log_softmax(-1)
            assert one.log_probability == pytest.approx(float(scores[range(len(ended)), ended].sum()))
            assert one.score == pytest.approx(one.log_probability / length_norm(len(ended), 0.8))


def test_a_beam_wider_than_the_vocabulary_and_one_token_at_most():
    model = small_model(size=4)
    source, lengths = sources()
    with torch.no_grad():
        found = beam_search(model.decoder, model.begin(source, lengths), END, width=9, max_length=1)
    for answers in found:
        assert sorted(one.tokens for one in answers) == [[], [0], [1], [2]]


def test_no_rows():
    model = small_model()
    with torch.no_grad():
        start = model.begin(*sources())
        none = torch.tensor([], dtype=torch.int64)
        start = start._replace(memory=start.memory.rows(none), state=start.state[:, none])
        assert beam_search(model.decoder, start, END) == []
