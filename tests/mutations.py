"""Valid files made invalid at random: readers must reject them in one line, or read them sensibly.

GATEWISE_MUTATIONS is how many mutations of each file are tried; by default few, for every run of the tests.
"""

import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

COUNT = int(os.environ.get("GATEWISE_MUTATIONS", "60"))

# What breaks readers: NUL, surrogates in UTF-8 and as an escape, other line ends and spaces, wrong types, numbers that
# overflow, deep nesting.
_PIECES = [b"\0", b"\xed\xa0\x80", b"\\ud800", b"\xff", b"\xef\xbb\xbf", b"\r", b"\n", b"\n\n", b"\t", b",", b'"', b"'"]
_PIECES += [b"\\", b" ", b"#", b"-", b"null", b"true", b"NaN", b"[]", b"{}", b'"x"', b"3", b"1e999", b"-1", b"0.5"]
_PIECES += ["\N{NO-BREAK SPACE}".encode(), "\u2028".encode(), b"9" * 5000, b"[" * 20_000, b'{"a":' * 20_000]


def _index(content: bytes, draw: random.Random) -> int:
    return draw.randrange(len(content) + 1)


def _insert(content: bytes, draw: random.Random) -> bytes:
    index = _index(content, draw)
    return content[:index] + draw.choice(_PIECES) + content[index:]


def _overwrite(content: bytes, draw: random.Random) -> bytes:
    index, piece = _index(content, draw), draw.choice(_PIECES)
    return content[:index] + piece + content[index + len(piece) :]


def _insert_random(content: bytes, draw: random.Random) -> bytes:
    index = _index(content, draw)
    return content[:index] + draw.randbytes(draw.randrange(1, 9)) + content[index:]


def _delete(content: bytes, draw: random.Random) -> bytes:
    index = _index(content, draw)
    return content[:index] + content[index + draw.choice((1, 1, 2, 8)) :]


def _flip(content: bytes, draw: random.Random) -> bytes:
    index = draw.randrange(len(content))
    return content[:index] + bytes([content[index] ^ 1 << draw.randrange(8)]) + content[index + 1 :]


def _truncate(content: bytes, draw: random.Random) -> bytes:
    return content[: _index(content, draw)]


def _change_lines(content: bytes, draw: random.Random) -> bytes:
    lines = content.splitlines(keepends=True)
    one, other = draw.randrange(len(lines)), draw.randrange(len(lines))
    match draw.randrange(4):
        case 0:
            lines.insert(other, lines[one])
        case 1:
            del lines[one]
        case 2:
            lines[one], lines[other] = lines[other], lines[one]
        case _:
            lines[one] = lines[one][: _index(lines[one], draw)]
    return b"".join(lines)


def _change_value(content: bytes, draw: random.Random) -> bytes:
    """Another value in the place of what stands between two separators."""
    begins = [index + 1 for index, byte in enumerate(content) if byte in b",:=[{ \t\n"]
    begin = draw.choice(begins) if begins else 0
    end = next((index for index in range(begin, len(content)) if content[index] in b",:=]} \t\n"), len(content))
    return content[:begin] + draw.choice(_PIECES) + content[end:]


_CHANGES = (_insert, _overwrite, _insert_random, _delete, _flip, _truncate, _change_lines, _change_value)


def check_reader(
    path: Path,
    content: bytes,
    read: Callable[[Path], Any],
    check: Callable[[Any], None] = lambda _: None,
    folder: Path | None = None,
) -> None:
    """Read mutations of a file: each is read, or rejected with a ValueError or OSError of one line that names it.

    Args:
        path: where to write them.
        content: the valid file.
        read: reads one.
        check: receives what was read after a single change.
        folder: what the error may name instead of the file.
    """
    for seed in range(COUNT):
        draw = random.Random(f"{path.name} {seed}")
        changed, changes = content, draw.choice((1, 1, 1, 2, 3))
        for _ in range(changes):
            changed = draw.choice(_CHANGES)(changed, draw) if changed else changed
        path.write_bytes(changed)
        where = f"mutation {seed} of {path.name}: {changed[:2000]!r}"
        try:
            found = read(path)
        except (ValueError, OSError) as error:
            message = str(error)
            assert str(path) in message or (folder is not None and str(folder) in message), (
                f"{where}: names no file: {message}"
            )
            assert "\n" not in message, f"{where}: several lines: {message}"
        except Exception as error:
            raise AssertionError(f"{where}: {type(error).__name__}: {error}") from error
        else:
            if changes == 1:
                try:
                    check(found)
                except AssertionError as error:
                    raise AssertionError(f"{where}: {error}") from error
