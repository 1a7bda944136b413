"""What an independent writer wrote is what is read, in every format, packed or not."""

import bz2
import gzip
import lzma

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gatewise.embeddings import describe, load_embedding
from gatewise.embeddings.layout import open_rows
from gatewise.embeddings.text_rows import is_number
from tests.embeddings.writers import ALL, BINARY, TEXT, glove, word2vec

# Any character but the separators; words that are numbers, white space of Unicode and control characters among them.
word = st.text(st.characters(exclude_categories=["Cs"], exclude_characters=" \n\r\ufeff"), min_size=1, max_size=8)
number = st.floats(width=32, allow_nan=False, allow_infinity=False)


@st.composite
def some_vectors(draw, words=word):
    width = draw(st.integers(3, 6))
    chosen = draw(st.lists(words, min_size=1, max_size=8, unique=True))
    return [(word, draw(st.lists(number, min_size=width, max_size=width))) for word in chosen]


reusing = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def expected(vectors):
    return np.array([numbers for _, numbers in vectors], dtype=np.float32)


@pytest.mark.parametrize("write", ALL)
@given(vectors=some_vectors())
@reusing
def test_every_word_and_number_comes_back(tmp_path, write, vectors):
    path = tmp_path / "vectors"
    path.write_bytes(write(vectors))
    matrix, found, coverage = load_embedding(path, [word for word, _ in vectors])
    assert matrix.dtype == np.float32
    np.testing.assert_array_equal(matrix, expected(vectors))
    assert found.all()
    assert coverage.as_written == coverage.found == coverage.words == len(vectors)


@pytest.mark.parametrize("write", ALL)
@pytest.mark.parametrize("chunk", [1, 2, 7, 64])
@given(vectors=some_vectors())
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_chunks_may_end_anywhere(tmp_path, monkeypatch, write, chunk, vectors):
    monkeypatch.setattr("gatewise.embeddings.unpacking.CHUNK", chunk)
    path = tmp_path / "vectors"
    path.write_bytes(write(vectors))
    matrix, *_ = load_embedding(path, [word for word, _ in vectors])
    np.testing.assert_array_equal(matrix, expected(vectors))


@given(vectors=some_vectors(), data=st.data())
@reusing
def test_only_what_is_wanted_in_the_order_wanted(tmp_path, vectors, data):
    path = tmp_path / "vectors"
    path.write_bytes(glove(vectors))
    chosen = data.draw(st.lists(st.sampled_from(vectors)))
    matrix, found, _ = load_embedding(path, [word for word, _ in chosen])
    assert matrix.shape == (len(chosen), len(vectors[0][1]))
    np.testing.assert_array_equal(matrix, expected(chosen).reshape(matrix.shape))
    assert found.shape == (len(chosen),)


phrases = st.lists(word.filter(lambda part: part.split() == [part] and not is_number(part.encode())), min_size=2).map(
    " ".join
)


@pytest.mark.parametrize("write", TEXT)
@given(vectors=some_vectors(words=phrases))
@reusing
def test_words_of_text_may_contain_spaces(tmp_path, write, vectors):
    path = tmp_path / "vectors"
    path.write_bytes(write(vectors))
    matrix, found, _ = load_embedding(path, [word for word, _ in vectors])
    assert found.all()
    np.testing.assert_array_equal(matrix, expected(vectors))


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
@pytest.mark.parametrize("write", ALL)
def test_packed_files_are_known_by_their_content(tmp_path, pack, write):
    vectors = [("naïve", [1.0, -2.5, 3e-8]), ("\u2003", [0.0, -0.0, 1e30])]
    path = tmp_path / "vectors.txt"
    path.write_bytes(pack(write(vectors)))
    matrix, *_ = load_embedding(path, ["naïve", "\u2003"])
    np.testing.assert_array_equal(matrix, expected(vectors))


@pytest.mark.parametrize(
    ("write", "kind", "header"),
    [(glove, "text", False), (word2vec, "text", True), *((write, "binary", True) for write in BINARY)],
)
def test_the_format_is_detected_from_the_content(tmp_path, write, kind, header):
    path = tmp_path / "vectors.bin.txt"
    path.write_bytes(write([(f"w{number}", [number / 7] * 5) for number in range(300)]))
    rows = open_rows(path)
    assert (rows.kind, rows.width, rows.promised) == (kind, 5, 300 if header else None)
    assert describe(path).splitlines() == [
        "vectors.bin.txt",
        f"{kind} {'with' if header else 'without'} header, 300 words of 5 numbers",
        "the first words: w0 w1 w2 w3 w4 w5 w6 w7",
    ]


@pytest.mark.parametrize("write", BINARY)
def test_binary_numbers_may_look_like_text(tmp_path, write):
    path = tmp_path / "vectors"
    vectors = [("a", [float(np.float32(0.9))] * 3)] * 2  # the bytes of 0.9 are fff?
    path.write_bytes(write(vectors))
    assert load_embedding(path, ["a"]).matrix.tolist() == [vectors[0][1]]


def test_numbers_may_stand_apart_by_tabs_and_runs_of_spaces(tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_bytes(b"a\t1\t2\nb  3   4\nc d  5 \t 6")
    matrix, found, _ = load_embedding(path, ["a", "b", "c d"])
    assert found.all()
    np.testing.assert_array_equal(matrix, [[1, 2], [3, 4], [5, 6]])


def test_an_empty_line_at_the_end_is_nothing(tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_bytes(b"1 2\na 1 2\n\n \n")
    assert load_embedding(path, ["a"]).found.all()


def test_words_that_are_not_utf8_are_counted(tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_bytes(b"a 1 2\n\xff\xe9 3 4\n")
    assert describe(path).splitlines()[2:] == [
        "the first words: a \ufffd\ufffd",
        "words that are not UTF-8, which no vocabulary has: 1",
    ]
