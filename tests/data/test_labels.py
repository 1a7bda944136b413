"""Labels, and the guess that any model must beat."""

from gatewise.data.labels import MostFrequent


def test_a_token_seen_has_its_own_most_frequent_label_others_the_overall_one():
    pairs = [(1, 0), (1, 2), (1, 2), (3, 0), (3, 0), (4, 1)]
    guess = MostFrequent.learn(pairs, token_count=6)
    assert guess.overall == 0
    assert guess.of_token == [0, 2, 0, 0, 1, 0]
    assert guess.guess([1, 4, 5]) == [2, 1, 0]
    assert MostFrequent.from_content(guess.content()).of_token == guess.of_token


def test_ties_go_to_the_lower_number():
    assert MostFrequent.learn([(0, 2), (0, 1)], token_count=1).of_token == [1]
