"""Every vocabulary: text to tokens and back, through its file."""

import itertools
import json
import re
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gatewise.data import subwords
from gatewise.data.vocabularies import build_vocabulary, load_vocabulary
from gatewise.data.words import END_OF_LINE, UNKNOWN

any_text = st.text(min_size=1, max_size=200)
BOOK = "the cat sat on the mat\nthe dog sat on the log\n\nnaïve café — 猫\n" * 5


@given(any_text)
def test_characters_round_trip(text):
    vocabulary = build_vocabulary("char", text)
    tokens = vocabulary.encode(text)
    assert tokens.dtype == torch.int64
    assert len(tokens) == len(text)
    assert vocabulary.decode(tokens.tolist()) == text
    assert vocabulary.size == len(set(text)) + 1
    assert tokens.min() >= 1
    assert tokens.max() < vocabulary.size


@given(any_text, any_text)
def test_exactly_the_characters_outside_are_unknown(text, other):
    vocabulary = build_vocabulary("char", text)
    unknown = (vocabulary.encode(other) == vocabulary.unknown).tolist()
    assert unknown == [character not in text for character in other]


def words_of(text):
    return [word for line in text.replace("\n", f" {END_OF_LINE} ").split("\n") for word in line.split(" ") if word]


@given(st.text(alphabet="ab <>\né", max_size=100).map(lambda text: text + "a"))
def test_words_are_what_stands_between_white_space_and_lines_end_with_a_token(text):
    vocabulary = build_vocabulary("word", text)
    tokens = vocabulary.encode(text).tolist()
    assert [vocabulary.name(token) for token in tokens] == words_of(text)
    assert vocabulary.encode(vocabulary.decode(tokens)).tolist() == tokens


def test_white_space_is_that_of_unicode():
    # U+001C to U+001F are not; to Python alone they are.
    spaces = "\t\v\f\r \x85\xa0\u1680\u2000\u200a\u2028\u2029\u202f\u205f\u3000"
    for controls in ("", "\x1c\x1d\x1e\x1f"):
        text = "".join(f"a{character}b" for character in spaces + controls)
        vocabulary = build_vocabulary("word", text)
        expected = set(text.translate(dict.fromkeys(map(ord, spaces), " ")).split(" "))
        assert {vocabulary.name(token) for token in range(2, vocabulary.size)} == expected


def test_words_are_numbered_by_frequency_then_alphabet():
    vocabulary = build_vocabulary("word", "b a c\nb a c <unk> c\nd")
    assert [vocabulary.name(token) for token in range(vocabulary.size)] == [UNKNOWN, END_OF_LINE, "c", "a", "b", "d"]
    assert vocabulary.encode("c zebra <unk>\n").tolist() == [2, 0, 0, 1]


def test_a_word_vocabulary_keeps_the_most_frequent():
    vocabulary = build_vocabulary("word", BOOK, size=5)
    assert vocabulary.size == 5
    kept = {vocabulary.name(token) for token in range(2, 5)}
    assert kept == {word for word, _ in Counter(BOOK.split()).most_common(3)}


@given(any_text)
def test_byte_pairs_round_trip_any_text(text):
    vocabulary = BYTE_PAIRS
    assert vocabulary.unknown is None
    assert vocabulary.decode(vocabulary.encode(text).tolist()) == text


BYTE_PAIRS = build_vocabulary("bpe", BOOK, size=280)


def test_byte_pairs_are_learned():
    assert BYTE_PAIRS.size == 280
    assert len(BYTE_PAIRS.encode(BOOK)) < len(BOOK.encode()) / 2


def test_a_character_cut_in_two_by_the_end_is_shown_as_replaced():
    first, *_ = BYTE_PAIRS.encode("€").tolist()
    assert BYTE_PAIRS.decode([first]) == "\N{REPLACEMENT CHARACTER}"


def test_long_texts_are_read_in_parts_without_loss():
    text = "no line end " * 12_000 + BOOK * 400
    assert BYTE_PAIRS.decode(BYTE_PAIRS.encode(text).tolist()) == text


@pytest.mark.parametrize("unit", ["char", "word", "bpe"])
def test_a_vocabulary_survives_its_file(tmp_path, unit):
    vocabulary = build_vocabulary(unit, BOOK)
    vocabulary.save(tmp_path / "vocabulary.json")
    again = load_vocabulary(tmp_path / "vocabulary.json")
    assert (again.unit, again.size, again.unknown) == (unit, vocabulary.size, vocabulary.unknown)
    assert again.encode(BOOK).tolist() == vocabulary.encode(BOOK).tolist()
    assert again.to_json() == vocabulary.to_json()


@pytest.mark.parametrize("unit", ["char", "word", "bpe"])
def test_the_same_text_gives_the_same_vocabulary(unit):
    assert build_vocabulary(unit, BOOK).to_json() == build_vocabulary(unit, BOOK).to_json()


@pytest.mark.parametrize(
    ("unit", "size", "message"),
    [
        ("char", 10, "a vocabulary size is for words and bpe"),
        ("word", 2, "a word vocabulary needs a size of at least 3"),
        ("bpe", 256, "a bpe vocabulary needs a size above 256"),
    ],
)
def test_a_size_that_does_not_suit(unit, size, message):
    with pytest.raises(ValueError, match=message):
        build_vocabulary(unit, BOOK, size)


GOOD = json.loads(build_vocabulary("char", "ab").to_json())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "Expecting"),
        ("[]", "not a vocabulary"),
        ("{}", "format"),
        (json.dumps({**GOOD, "format": "other"}), "expected gatewise-vocabulary version 1, got other 1"),
        (json.dumps({**GOOD, "version": 2}), "got gatewise-vocabulary 2"),
        (json.dumps({**GOOD, "unit": "syllable"}), "unknown unit 'syllable'"),
        (json.dumps({**GOOD, "characters": "ba"}), "not distinct and in order"),
        (json.dumps({**GOOD, "unit": "word", "words": ["a"]}), "do not begin with <unk>, <eos>"),
        (json.dumps({**GOOD, "unit": "bpe", "tokenizer": "{}"}), "not a vocabulary"),
    ],
)
def test_a_file_that_is_no_vocabulary(tmp_path, content, message):
    path = tmp_path / "vocabulary.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=re.escape(message)) as raised:
        load_vocabulary(path)
    assert str(raised.value).startswith(f"{path}: not a vocabulary of gatewise")


@pytest.mark.parametrize(("unit", "size"), [("char", None), ("word", None), ("bpe", 260)])
def test_half_a_surrogate_pair_is_rejected(unit, size):
    vocabulary = build_vocabulary(unit, BOOK, size)
    with pytest.raises(ValueError, match=re.escape("the text: character 4 is half of a surrogate pair (U+D83D)")):
        vocabulary.encode("cat\ud83d")
    # A byte of the command line that is not UTF-8, as Python hands it over.
    with pytest.raises(ValueError, match="character 4 is the byte 0xff, which is not UTF-8, or half"):
        vocabulary.encode(b"cat\xff".decode("utf-8", "surrogateescape"))


def cut(text, positions):
    return [text[begin:end] for begin, end in itertools.pairwise([0, *sorted(positions), len(text)])]


@given(text=st.text(alphabet="ab \n\t€猫\x1c\u2003<", max_size=80), positions=st.lists(st.integers(0, 80), max_size=6))
@pytest.mark.parametrize("unit", ["char", "word", "bpe"])
def test_a_text_that_comes_in_parts_has_the_tokens_of_the_whole(unit, text, positions):
    size = {"char": None, "word": None, "bpe": 300}[unit]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subwords, "_PART", 16)
        vocabulary = build_vocabulary(unit, BOOK, size)
        chunks = cut(text, [min(position, len(text)) for position in positions])
        parts = list(vocabulary.encode_chunks(chunks))
        whole = vocabulary.encode(text).tolist()
        assert [token for part in parts for token in part.tolist()] == whole
        assert all(part.dtype == vocabulary.dtype for part in parts)
        assert build_vocabulary(unit, chunks, size).to_json() == build_vocabulary(unit, text, size).to_json()
        begun = text if unit == "bpe" else vocabulary.decode(whole)
        assert vocabulary.characters_in(np.array(whole, dtype=vocabulary.dtype)) == len(begun)


@given(any_text, st.integers(0, 200))
def test_the_characters_of_byte_pairs_are_counted_where_they_begin(text, count):
    tokens = BYTE_PAIRS.encode(text)[:count].numpy()
    names = [BYTE_PAIRS._tokenizer.id_to_token(token) for token in tokens]
    letters = dict(zip(subwords._letters(), range(256), strict=True))
    content = bytes(letters[letter] for name in names for letter in name)
    assert text.encode().startswith(content)
    assert BYTE_PAIRS.characters_in(tokens) == sum(byte & 0xC0 != 0x80 for byte in content)


@pytest.mark.parametrize(
    ("size", "dtype"), [(255, np.uint8), (256, np.uint16), (65_535, np.uint16), (65_536, np.uint32)]
)
def test_tokens_of_many_characters_are_kept_in_the_smallest_numbers(size, dtype):
    text = "".join(
        map(chr, itertools.islice((point for point in itertools.count(1) if not 0xD800 <= point < 0xE000), size))
    )
    vocabulary = build_vocabulary("char", text)
    assert vocabulary.dtype == dtype
    assert vocabulary.encode(text).tolist() == list(range(1, size + 1))
    assert vocabulary.encode("\0a").tolist() == [0, ord("a")]
