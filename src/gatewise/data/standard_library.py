"""What every machine has: the source text of Python's standard library, its docstrings and its tokens."""

import ast
import io
import keyword
import sysconfig
import tokenize
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from gatewise.data.columns import TaggedWords

# Not the library itself: its tests, what is installed beside it, bundled wheels, generated tables.
_LEFT_OUT = {"test", "tests", "idle_test", "site-packages", "dist-packages", "ensurepip", "lib2to3", "pydoc_data"}


def source_files() -> Iterator[tuple[str, str]]:
    """The name of the top-level package or module, and the text, of each file of the running Python's library."""
    root = Path(sysconfig.get_paths()["stdlib"])
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).parts
        if _LEFT_OUT.isdisjoint(parts):
            try:
                yield path.relative_to(root).parts[0].removesuffix(".py"), path.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue  # a few files are in other encodings


def docstrings(at_least: int = 150) -> list[tuple[str, str]]:
    """Docstrings with their package or module, for those that have enough of them.

    A docstring that occurs more than once is skipped, since its origin is ambiguous.

    Args:
        at_least: how many docstrings of its own a package must have.
    """
    found = list(_docstrings())
    times = Counter(docstring for docstring, _ in found)
    own = [(docstring, package) for docstring, package in found if times[docstring] == 1]
    sizes = Counter(package for _, package in own)
    return [(docstring, package) for docstring, package in own if sizes[package] >= at_least]


def _docstrings() -> Iterator[tuple[str, str]]:
    """Every docstring, with its package or module."""
    for package, text in source_files():
        for node in ast.walk(_parsed(text)):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                docstring = ast.get_docstring(node)
                if docstring:
                    yield docstring, package


def summarised_docstrings(shortest: int = 3, longest: int = 20) -> list[tuple[str, str]]:
    """The bodies of docstrings, and the line above each.

    A body that occurs several times is taken once; so is a first line. White space is made one space.

    Args:
        shortest, longest: how many words a first line has.
    """
    found: dict[str, str] = {}
    lines: set[str] = set()
    for docstring, _ in _docstrings():
        first, _, rest = docstring.partition("\n\n")
        line, body = first.strip(), " ".join(rest.split())
        if "\n" in line or not shortest <= len(line.split()) <= longest or len(body.split()) < 2 * shortest:
            continue
        if body not in found and line not in lines:
            found[body] = line
            lines.add(line)
    return list(found.items())


def _parsed(text: str) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the library's own odd escapes
        return ast.parse(text)


SPACE = "space"
_TYPES = {
    tokenize.NUMBER: "number",
    tokenize.STRING: "string",
    tokenize.COMMENT: "comment",
    tokenize.OP: "operator",
}


def token_types(text: str) -> list[str] | None:
    """The type of the token that each character of a Python program belongs to.

    Types are keyword, name, number, string, comment and operator; what is between tokens is space.

    Returns:
        one for each character, or None when the text is not Python.

    >>> token_types("if x:")
    ['keyword', 'keyword', 'space', 'name', 'operator']
    """
    starts = [0]
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    types = [SPACE] * len(text)
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            kind = _TYPES.get(token.type)
            if token.type == tokenize.NAME:
                kind = "keyword" if keyword.iskeyword(token.string) else "name"
            elif tokenize.tok_name[token.type].startswith(("FSTRING", "TSTRING")):
                kind = "string"  # from Python 3.12 on, f-strings come in parts
            if kind is not None:
                first, last = (starts[line - 1] + column for line, column in (token.start, token.end))
                types[first:last] = [kind] * (last - first)
    except (tokenize.TokenError, SyntaxError):
        return None
    return types


def typed_programs(characters: int, piece: int) -> list[TaggedWords]:
    """Pieces of the library's modules, as characters and the types of their tokens.

    Args:
        characters: about how many characters in all; modules are taken at even distances over the whole library.
        piece: the least length of a piece, which ends with a line.
    """
    texts = [text for _, text in source_files() if text.isascii() and "\f" not in text and "\r" not in text]
    share = min(1.0, characters / sum(map(len, texts)))
    found: list[TaggedWords] = []
    for number, text in enumerate(texts):
        if int((number + 1) * share) == int(number * share):
            continue
        types = token_types(text)
        first = 0
        while types is not None and first < len(text):
            last = text.find("\n", first + piece) + 1 or len(text)
            found.append((list(text[first:last]), types[first:last]))
            first = last
    return found
