"""Nearest words against all cosines computed at once."""

import re

import numpy as np
import pytest

from gatewise.embeddings import nearest_words
from tests.embeddings.writers import ALL, binary, glove


def written(tmp_path, vectors, write=glove):
    path = tmp_path / "vectors"
    path.write_bytes(write(vectors))
    return path


@pytest.mark.parametrize("write", ALL)
@pytest.mark.parametrize("block", [1, 3, 4096])
def test_the_nearest_of_all(tmp_path, monkeypatch, write, block):
    monkeypatch.setattr("gatewise.embeddings.nearest._BLOCK", block)
    matrix = np.random.default_rng(0).normal(size=(100, 5)).astype(np.float32)
    path = written(tmp_path, [(f"w{n}", [float(x) for x in row]) for n, row in enumerate(matrix)], write)
    exact = matrix.astype(np.float64)
    cosines = exact @ exact[7] / np.linalg.norm(exact, axis=1) / np.linalg.norm(exact[7])
    names = {f"w{n}": cosine for n, cosine in enumerate(cosines) if n != 7}
    if write.__name__ == "glove_with_header":
        half = np.full(5, 0.5)
        names["<unk>"] = half @ exact[7] / np.linalg.norm(half) / np.linalg.norm(exact[7])
    best = sorted(names.items(), key=lambda item: -item[1])
    for count in (1, 10, 1000):
        near = nearest_words(path, "w7", count)
        assert [word for word, _ in near] == [word for word, _ in best[:count]]
        np.testing.assert_allclose([cosine for _, cosine in near], [cosine for _, cosine in best[:count]], atol=1e-12)


@pytest.mark.parametrize("block", [1, 2, 4096])
def test_repeated_rows_ties_and_zeros(tmp_path, monkeypatch, block):
    monkeypatch.setattr("gatewise.embeddings.nearest._BLOCK", block)
    vectors = [
        ("a", [1, 0]),
        ("zero", [0, 0]),
        ("b", [2, 0]),
        ("a", [3, 0]),
        ("c", [4, 0]),
        ("b", [5, 0]),
        ("d", [1, 1]),
    ]
    path = written(tmp_path, vectors)
    assert [word for word, _ in nearest_words(path, "a", 9)] == ["b", "c", "d"]
    assert [word for word, _ in nearest_words(path, "a", 1)] == ["b"]


def test_huge_and_tiny_vectors_have_a_direction(tmp_path):
    path = written(tmp_path, [("a", [1e-40, 1e-40]), ("b", [3e38, 3e38]), ("c", [-1e-45, 0])], binary)
    (_, first), (_, second) = nearest_words(path, "a")
    assert first == pytest.approx(1)
    assert second == pytest.approx(-(0.5**0.5))


def test_the_word_is_looked_for_in_its_other_spellings(tmp_path):
    path = written(tmp_path, [("in0000", [1, 0]), ("cat", [1, 1]), ("dog", [1, 2])])
    assert [word for word, _ in nearest_words(path, "IN1984")] == ["cat", "dog"]
    assert [word for word, _ in nearest_words(path, "CAT")] == ["dog", "in0000"]


@pytest.mark.parametrize(
    ("word", "count", "message"),
    [
        ("Cow1", 1, "no vector for the word (looked for 'Cow1', 'cow1', 'cow0')"),
        ("cow", 1, "no vector for the word (looked for 'cow')"),
        ("zero", 1, "the vector of 'zero' is zero and has no direction"),
        ("cat", 0, "count: expected a whole number from 1, got 0"),
    ],
)
def test_mistakes(tmp_path, word, count, message):
    path = written(tmp_path, [("cat", [1, 0]), ("zero", [0, 0])])
    with pytest.raises(ValueError, match=re.escape(message)):
        nearest_words(path, word, count)
