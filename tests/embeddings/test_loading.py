"""Which spelling of a word is found, what is reported, and what it costs."""

import tracemalloc

import numpy as np
import pytest

from gatewise.embeddings import Coverage, load_embedding


def loaded(tmp_path, content, words):
    path = tmp_path / "vectors.txt"
    path.write_text(content, encoding="utf-8")
    return load_embedding(path, words)


@pytest.mark.parametrize("order", [1, -1], ids=["best first", "best last"])
def test_a_word_is_found_as_written_then_in_lower_case_then_with_digits_folded(tmp_path, order):
    lines = ["Route66 1 1\n", "route66 2 2\n", "route00 3 3\n", "us 4 4\n"][::order]
    words = ["Route66", "ROUTE66", "route66", "Route99", "ROUTE00", "US", "vs"]
    matrix, found, coverage = loaded(tmp_path, "".join(lines), words)
    assert matrix[:, 0].tolist() == [1, 2, 2, 3, 3, 4, 0]
    assert found.tolist() == [True] * 6 + [False]
    assert coverage == Coverage("vectors.txt", 2, 7, as_written=2, lower_cased=3, digits_folded=1)


def test_the_first_of_repeated_rows_counts(tmp_path):
    matrix, _, coverage = loaded(tmp_path, "a 1 1\nb 2 2\na 3 3\nc 4 4\nc 5 5\nA 6 6\n", ["A", "a", "b"])
    assert matrix[:, 0].tolist() == [6, 1, 2]
    assert coverage.repeated == 1
    assert str(coverage).endswith("; 1 repeated in the file, where the first counts")


def test_a_repeated_word_of_the_vocabulary_has_its_row_each_time(tmp_path):
    matrix, found, coverage = loaded(tmp_path, "a 1 2\n", ["a", "b", "a"])
    assert matrix.tolist() == [[1, 2], [0, 0], [1, 2]]
    assert found.tolist() == [True, False, True]
    assert coverage.repeated == 0


def test_the_line_for_people(tmp_path):
    content = "".join(f"w{number} 1 2\n" for number in range(1500))
    *_, coverage = loaded(tmp_path, content, [f"W{number}" for number in range(2000)])
    assert str(coverage) == (
        "vectors.txt, 2 numbers a word: 1,500 of 2,000 words found (75.0 %): "
        "0 as written, 1,500 in lower case, 0 with digits as 0"
    )


def test_an_empty_vocabulary(tmp_path):
    matrix, found, coverage = loaded(tmp_path, "a 1 2\n", [])
    assert matrix.shape == (0, 2)
    assert found.shape == (0,)
    assert "0 of 0 words found (0 %)" in str(coverage)


def test_one_str_is_no_vocabulary(tmp_path):
    with pytest.raises(TypeError, match=r"words: expected a sequence of words, got one str; write \[word\]"):
        loaded(tmp_path, "a 1 2\n", "cat")


def test_what_is_not_a_path():
    with pytest.raises(TypeError, match=r"^path: expected a path \(a str or an os.PathLike\), got int \(5\)$"):
        load_embedding(5, ["cat"])  # pyright: ignore[reportArgumentType]


def test_a_word_that_no_file_can_hold_is_not_found(tmp_path):
    assert not loaded(tmp_path, "a 1 2\n", ["\ud800"]).found.any()


@pytest.mark.parametrize("binary", [False, True], ids=["text", "binary"])
def test_only_the_rows_of_the_vocabulary_are_held(tmp_path, binary):
    count, width = 20_000, 100
    path = tmp_path / "vectors"
    numbers = np.linspace(-1, 1, width, dtype="<f4")
    row = numbers.tobytes() if binary else " ".join(f"{number:.5f}" for number in numbers).encode() + b"\n"
    with path.open("wb") as file:
        file.write(b"%d %d\n" % (count, width))
        for number in range(count):
            file.write(b"w%d " % number + row)
    assert path.stat().st_size > 8_000_000
    words = [f"w{number}" for number in range(0, count, 20)]
    tracemalloc.start()
    try:
        matrix, found, _ = load_embedding(path, words)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found.all()
    np.testing.assert_allclose(matrix, np.tile(numbers, (len(words), 1)), atol=1e-5)
    assert peak < matrix.nbytes + 3_000_000  # some chunks of 256 KiB
