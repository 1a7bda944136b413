"""What every machine has: docstrings and tokens of the standard library."""

from collections import Counter

import pytest

from gatewise.data import standard_library
from gatewise.data.standard_library import docstrings, summarised_docstrings, token_types, typed_programs


@pytest.fixture
def library(tmp_path, monkeypatch):
    for name, text in {
        "alpha.py": '"""About alpha."""\ndef f():\n    """The same."""\n',
        "beta/__init__.py": '"""About beta."""\nclass C:\n    """The same."""\n',
        "beta/deep.py": 'async def g():\n    """Deep in beta."""\nx = "\\d"\n',
        "test/test_alpha.py": '"""A test."""\n',
        "latin.py": b'"""\xe9."""\n',
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    monkeypatch.setattr(standard_library.sysconfig, "get_paths", lambda: {"stdlib": str(tmp_path)})


def test_docstrings_that_have_one_origin(library):
    found = docstrings(at_least=1)
    assert sorted(found) == [("About alpha.", "alpha"), ("About beta.", "beta"), ("Deep in beta.", "beta")]
    assert {package for _, package in docstrings(at_least=2)} == {"beta"}


def test_types_of_tokens():
    text = "def f(x):\n    # see\n    return 'ä' + 1.5\n"
    types = token_types(text)
    assert types is not None
    parts = {kind: "".join(c for c, t in zip(text, types, strict=True) if t == kind) for kind in set(types)}
    assert "".join(parts.pop("space").split()) == ""
    assert parts == {
        "comment": "# see",
        "keyword": "defreturn",
        "name": "fx",
        "number": "1.5",
        "operator": "():+",
        "string": "'ä'",
    }
    in_string = token_types('f"{x} a"')
    assert in_string is not None
    assert [in_string[position] for position in (0, 1, 6, 7)] == ["string"] * 4  # {x} has types of its own from 3.12 on
    assert token_types("(") is None
    assert token_types("a\n  b\n c") is None


def test_pieces_of_programs(library):
    found = typed_programs(10**6, 20)
    assert all(len(characters) == len(types) for characters, types in found)
    text = "".join("".join(characters) for characters, _ in found)
    assert '"""About alpha."""' in text
    assert "A test" not in text
    assert all(len(characters) >= 20 or characters[-1] == "\n" for characters, _ in found)
    assert len(typed_programs(60, 20)) < len(found)


@pytest.fixture(scope="module")
def found_once():
    return list(standard_library._docstrings())


@pytest.fixture
def own_docstrings(found_once, monkeypatch):
    """Those of this Python's own library, which takes seconds to read."""
    monkeypatch.setattr(standard_library, "_docstrings", lambda: iter(found_once))


@pytest.mark.usefixtures("own_docstrings")
def test_this_pythons_own_library():
    labels = Counter(package for _, package in docstrings())
    assert len(labels) > 5
    assert min(labels.values()) >= 150


@pytest.mark.usefixtures("own_docstrings")
def test_summarised_docstrings_have_a_line_and_a_body():
    pairs = summarised_docstrings()
    assert len(pairs) > 1000
    assert len({body for body, _ in pairs}) == len({line for _, line in pairs}) == len(pairs)
    for body, line in pairs:
        assert 3 <= len(line.split()) <= 20
        assert "\n" not in body + line
        assert len(body.split()) >= 6
