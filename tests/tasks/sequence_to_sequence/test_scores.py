"""Scores beside numbers worked out by hand, and the answers that need no model."""

import numpy as np
import pytest
import sacrebleu

from gatewise.tasks.sequence_to_sequence.baselines import FrequentWords, first_sentence, strptime
from gatewise.tasks.sequence_to_sequence.scores import AnswerScores


def answer_scores(answers: list[str], targets: list[str], part: int = 1):
    scores = AnswerScores()
    for start in range(0, len(targets), part):
        scores.add(answers[start : start + part], targets[start : start + part])
    return scores.found()


def test_parts_are_scored_as_the_whole():
    random = np.random.default_rng(0)
    targets = [" ".join(random.choice(list("abcdefg"), 6)) for _ in range(50)]
    answers = [target[: random.integers(3, 12)] + "z" for target in targets]
    found = answer_scores(answers, targets, part=7)
    assert found["bleu"] == sacrebleu.corpus_bleu(answers, [targets]).score > 10
    assert found["chrf"] == sacrebleu.corpus_chrf(answers, [targets]).score > 10
    assert found == pytest.approx(answer_scores(answers, targets, part=50))


def test_rouge_by_hand():
    scores = answer_scores(["the cat the mat"], ["The cat sat on the mat."])
    # Four of four words and of six; pairs of words: 2 of 3 and of 5; in order: the cat the mat.
    assert scores["rouge_1"] == pytest.approx(2 * 1 * (4 / 6) / (1 + 4 / 6))
    assert scores["rouge_2"] == pytest.approx(2 * (2 / 3) * (2 / 5) / (2 / 3 + 2 / 5))
    assert scores["rouge_l"] == pytest.approx(0.8)


def test_rouge_reads_every_alphabet():
    assert answer_scores(["größe наша"], ["Größe, наша!"])["rouge_1"] == 1.0


def test_bleu_by_hand():
    # Precisions 5/6, 3/5, 2/4, 1/3; as long as the target.
    expected = 100 * (5 / 6 * 3 / 5 * 2 / 4 * 1 / 3) ** 0.25
    scores = answer_scores(["the cat sat on the mat"], ["the cat sat on a mat"])
    assert scores["bleu"] == pytest.approx(expected)
    assert 50 < scores["chrf"] < 100


def test_right_answers_have_the_highest_scores_and_empty_ones_the_lowest():
    target = "one two three four five"
    assert answer_scores([target], [target]) == pytest.approx(
        {"exact_match": 1, "bleu": 100, "chrf": 100, "rouge_1": 1, "rouge_2": 1, "rouge_l": 1}
    )
    assert set(answer_scores([""], [target]).values()) == {0.0}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3 March 1987", "1987-03-03"),
        ("Mar 3, 1987", "1987-03-03"),
        ("1987 march 3", "1987-03-03"),
        ("20,011", "20011"),
        ("the 3rd of March 1987", ""),
        ("twelve", ""),
    ],
)
def test_strptime(text, expected):
    assert strptime(text) == expected


def test_first_sentence():
    assert first_sentence("No end") == "No end"
    assert first_sentence("What? Yes.") == "What?"
    assert first_sentence("One, i.e. two. Three.") == "One, i.e. two."


def test_frequent_words_are_as_many_as_a_target_has_in_the_middle():
    words = FrequentWords.learn(["a b c", "a", "b a", "a x y z"])
    assert words.answer("") == "a b"
    assert FrequentWords.from_content(words.content()).answer("") == "a b"
