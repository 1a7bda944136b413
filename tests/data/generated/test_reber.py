"""Reber grammars, against regular expressions written from their drawings."""

import re
from collections import Counter

import pytest
import torch

from gatewise.data.generated.next_symbols import next_symbols_right
from gatewise.data.generated.reber import continual_reber, reber, reber_strings

# State by state, as arrows of the drawing: (from, symbol, to).
ARROWS = [
    ("start", "B", "left"),
    ("left", "T", "upper"),
    ("left", "P", "lower"),
    ("upper", "S", "upper"),
    ("upper", "X", "upper right"),
    ("lower", "T", "lower"),
    ("lower", "V", "lower right"),
    ("upper right", "X", "lower"),
    ("upper right", "S", "right"),
    ("lower right", "P", "upper right"),
    ("lower right", "V", "right"),
    ("right", "E", "end"),
]
# A string reaches the upper right by TS*X or by PT*VP, may circle by XT*VP, and leaves by S there or by V below.
PATTERN = r"B(?:(?:TS*X|PT*VP)(?:XT*VP)*(?:S|XT*VV)|PT*VV)E"
EMBEDDED = rf"BT{PATTERN}TE|BP{PATTERN}PE"


def legal_after(prefix: str, whole: list[str]) -> set[str]:
    """The symbols that follow a prefix in any of the strings."""
    return {text[len(prefix)] for text in whole if text.startswith(prefix) and len(text) > len(prefix)}


def all_strings(longest: int) -> list[str]:
    """All Reber strings up to a length, by following arrows."""
    found, open_ = [], [("", "start")]
    while open_:
        text, state = open_.pop()
        if state == "end":
            found.append(text)
        elif len(text) < longest:
            open_ += [(text + symbol, to) for where, symbol, to in ARROWS if where == state]
    return found


def texts(drawn: torch.Tensor) -> list[str]:
    return ["".join("BTPSXVE"[step.index(1)] for step in row if any(step)) for row in drawn.transpose(0, 1).tolist()]


@pytest.mark.parametrize(("embedded", "pattern"), [(False, PATTERN), (True, EMBEDDED)])
def test_strings_are_of_the_grammar(embedded: bool, pattern: str) -> None:
    strings = reber_strings(500, embedded=embedded, generator=torch.Generator().manual_seed(1))
    assert all(re.fullmatch(pattern, text) for text in strings)
    drawn = reber(500, embedded=embedded, generator=torch.Generator().manual_seed(1))
    assert texts(drawn.inputs) == [text[:-1] for text in strings]


def test_pattern_is_that_of_the_arrows() -> None:
    assert all(re.fullmatch(PATTERN, text) for text in all_strings(12))


def test_strings_are_as_likely_as_their_choices() -> None:
    strings = reber_strings(8000, embedded=False, generator=torch.Generator().manual_seed(2))
    shares = Counter(strings)
    for text in all_strings(8):
        # Each symbol where two may follow halves the probability; there is a choice in every state but two.
        state, probability = "start", 1.0
        for symbol in text:
            choices = {one: to for where, one, to in ARROWS if where == state}
            probability /= len(choices)
            state = choices[symbol]
        assert shares[text] / 8000 == pytest.approx(probability, abs=5 * (probability / 8000) ** 0.5)


def test_targets_are_the_symbols_that_follow_in_any_string() -> None:
    inner = all_strings(16)
    for embedded in (False, True):
        whole = [f"B{side}{text}{side}E" for side in "TP" for text in inner] if embedded else inner
        drawn = reber(60, embedded=embedded, generator=torch.Generator().manual_seed(3))
        checked = 0
        for row, text in enumerate(texts(drawn.inputs)):
            if len(text) > 10:
                continue  # what follows could need longer strings than were listed
            checked += 1
            for position in range(len(text)):
                target = drawn.targets[position, row].tolist()
                found = {"BTPSXVE"[code] for code, legal in enumerate(target) if legal}
                assert found == legal_after(text[: position + 1], whole)
        assert checked > 20


def test_continual_streams_are_strings_one_after_the_other() -> None:
    drawn = continual_reber(20, 200, generator=torch.Generator().manual_seed(4))
    for row, text in enumerate(texts(drawn.inputs)):
        assert len(text) == 200
        rest, strings = text, []
        while found := re.match(EMBEDDED, rest):
            strings.append(found[0])
            rest = rest[found.end() :]
        assert len(strings) >= 5
        assert rest == "" or rest[0] == "B"
        end = sum(map(len, strings))
        for position in range(end - 1):
            target = drawn.targets[position, row].tolist()
            assert target["BTPSXVE".index(text[position + 1])] == 1
            assert sum(target) in (1, 2)
        ends = [sum(map(len, strings[: n + 1])) - 1 for n in range(len(strings))]
        for position in ends:
            assert drawn.targets[position, row].tolist() == [1, 0, 0, 0, 0, 0, 0]
        # Near the end of a string only the symbol near its beginning may come.
        for position, string in zip(ends, strings, strict=True):
            assert drawn.targets[position - 2, row].tolist() == [float(one == string[1]) for one in "BTPSXVE"]


def test_right_is_every_legal_symbol_above_every_other() -> None:
    drawn = reber(3, generator=torch.Generator().manual_seed(5))
    assert next_symbols_right(drawn.targets * 2 - 5, drawn).all()
    wrong = drawn.targets.clone()
    wrong[3, 1] = 1 - wrong[3, 1]
    assert next_symbols_right(wrong, drawn).tolist() == [True, False, True]
    tied = drawn.targets.clone()
    tied[0, 2] = 1
    assert next_symbols_right(tied, drawn).tolist() == [True, True, False]
