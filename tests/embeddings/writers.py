"""Files of word vectors, written as the programs do that make them. Independent of what reads them."""

import struct

Vectors = list[tuple[str, list[float]]]


def glove(vectors: Vectors) -> bytes:
    return b"".join(_line(word, numbers) + b"\n" for word, numbers in vectors)


def glove_with_header(vectors: Vectors) -> bytes:
    """With ``-write-header 1``: the vector of unknown words is not counted."""
    unknown = ("<unk>", [0.5] * len(vectors[0][1]))
    return _header(vectors) + glove([*vectors, unknown])


def word2vec(vectors: Vectors) -> bytes:
    """The C program's text; fastText's ``.vec`` too: a space ends every line."""
    return _header(vectors) + b"".join(_line(word, numbers) + b" \n" for word, numbers in vectors)


def word2vec_windows(vectors: Vectors) -> bytes:
    return b"\xef\xbb\xbf" + word2vec(vectors).replace(b" \n", b"\r\n")


def binary(vectors: Vectors) -> bytes:
    """The C program's: a line end after each word's numbers."""
    return _header(vectors) + b"".join(_packed(word, numbers) + b"\n" for word, numbers in vectors)


def binary_dense(vectors: Vectors) -> bytes:
    """As gensim writes it: nothing between the words."""
    return _header(vectors) + b"".join(_packed(word, numbers) for word, numbers in vectors)


def _header(vectors: Vectors) -> bytes:
    return f"{len(vectors)} {len(vectors[0][1])}\n".encode()


def _line(word: str, numbers: list[float]) -> bytes:
    return word.encode() + b"".join(b" " + repr(number).encode() for number in numbers)


def _packed(word: str, numbers: list[float]) -> bytes:
    return word.encode() + b" " + struct.pack(f"<{len(numbers)}f", *numbers)


TEXT = [glove, glove_with_header, word2vec]
BINARY = [binary, binary_dense]
ALL = [*TEXT, word2vec_windows, *BINARY]
