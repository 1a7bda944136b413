"""Files of word vectors that random changes made invalid: read correctly, or rejected."""

import gzip

import numpy as np
import pytest

from gatewise.embeddings import describe, load_embedding, nearest_words
from tests.mutations import check_reader

WORDS = [f"word{letter}" for letter in "abcdefghij"]
VECTORS = np.array([[position, -1, 0.25] for position in range(10)], "<f4")
TEXT = "".join(f"{word} {' '.join(map(str, row))}\n" for word, row in zip(WORDS, VECTORS, strict=True)).encode()
BINARY = b"".join(word.encode() + b" " + row.tobytes() + b"\n" for word, row in zip(WORDS, VECTORS, strict=True))


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(TEXT, id="text"),
        pytest.param(b"10 3\n" + TEXT, id="text with header"),
        pytest.param(b"10 3\n" + BINARY, id="binary"),
        pytest.param(gzip.compress(TEXT, mtime=0), id="gzip"),
    ],
)
def test_vectors(tmp_path, content, request):
    def read(path):
        describe(path)
        found = load_embedding(path, WORDS)
        if found.found[1] and found.matrix[1].any():
            nearest_words(path, WORDS[1])
        return found

    def check(found):
        # A change in one row, or in the line that says how wide rows are, does not move the numbers of others.
        assert found.matrix.shape[1] == 3
        assert ((found.matrix != VECTORS).any(1) & found.found).sum() <= 2

    check_reader(tmp_path / request.node.callspec.id, content, read, check)
