"""Features of the spelling of a word: capitals, shape, prefixes, suffixes (Huang et al. 2015, arXiv:1508.01991)."""

import re
from itertools import groupby

_AFFIX = re.compile(r"(prefix|suffix)([1-9])")
NAMES = "caps, shape, prefix1 to prefix9, suffix1 to suffix9"
"""What `word_feature` knows, for people."""


def is_word_feature(name: str) -> bool:
    """Whether there is a feature of that name.

    >>> is_word_feature("suffix3"), is_word_feature("suffix"), is_word_feature("suffix0")
    (True, False, False)
    """
    return name in ("caps", "shape") or _AFFIX.fullmatch(name) is not None


def word_feature(name: str, word: str) -> str:
    """A feature of a word.

    ``caps`` says where capitals are: none, initial, all, inside, or that there is no letter (Collobert et al. 2011).
    ``shape`` has X for capitals, x for other letters, 0 for digits, each run of them once. ``prefix3`` and ``suffix3``
    are that many characters, or all of a shorter word.

    >>> [word_feature("caps", word) for word in ("rain", "Rain", "NATO", "iPhone", "1999", "A")]
    ['none', 'initial', 'all', 'inside', 'no letter', 'initial']
    >>> word_feature("shape", "B-52s"), word_feature("prefix2", "rain"), word_feature("suffix3", "going")
    ('X-0x', 'ra', 'ing')
    """
    if name == "caps":
        return _caps(word)
    if name == "shape":
        return "".join(key for key, _ in groupby(map(_kind, word)))
    found = _AFFIX.fullmatch(name)
    assert found is not None
    size = int(found[2])
    return word[:size] if found[1] == "prefix" else word[-size:]


def _caps(word: str) -> str:
    letters = [letter for letter in word if letter.isalpha()]
    upper = [letter.isupper() for letter in letters]
    if not letters:
        return "no letter"
    if not any(upper):
        return "none"
    if all(upper) and len(upper) > 1:
        return "all"
    return "initial" if upper[0] and not any(upper[1:]) else "inside"


def _kind(character: str) -> str:
    if character.isdigit():
        return "0"
    return ("X" if character.isupper() else "x") if character.isalpha() else character
