"""The file of weights: whole and of this model, or rejected; ``csrc/tests/exported.c`` tries more."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from gatewise import runtime
from gatewise.interchange.c.layers import model_of
from gatewise.interchange.c.weights import weights_file
from tests.interchange.c.exported import compiler, exported, streamed

pytestmark = pytest.mark.skipif(compiler() is None, reason="there is no C++ compiler")


def created(folder: Path, content: bytes) -> runtime.Model:
    aligned = np.frombuffer(content, np.uint8).copy()
    facts = runtime.load(folder).facts
    return runtime.Model(folder / "libnet.so", facts, aligned, max_batch=1, chunk=1)


def signed(content: bytes) -> bytes:
    """With a checksum that fits."""
    return content[:32] + struct.pack("<I", zlib.crc32(content[36:])) + content[36:]


def changed(content: bytes, offset: int, format: str, value: int) -> bytes:
    made = bytearray(content)
    struct.pack_into(format, made, offset, value)
    return signed(bytes(made))


def test_other_files_are_rejected() -> None:
    module, folder = exported(streamed)
    content = (folder / "weights.bin").read_bytes()
    assert content == weights_file(model_of(module)) == signed(content)
    created(folder, content).close()
    shorter, longer = content[:-64], content + bytes(64)
    for message, other in {
        "not a file of weights": b"gatewisE" + content[8:],
        "the file has another version": changed(content, 8, "<I", 1),
        "the numbers of the file have another type": changed(content, 12, "<I", 8),
        "the file is truncated, or followed by something else": signed(shorter),
        "the file is truncated, or followed": signed(longer),
        "the file belongs to another model": changed(content, 24, "<Q", 1),
        "the file has other tensors": changed(content, 36, "<I", 1 << 31),
        "the file is damaged .its checksum differs.": content[:-1] + bytes([content[-1] ^ 1]),
        "a tensor is outside the file": changed(content, 40, "<Q", (1 << 64) - 64),
        "a tensor is outside the file ?": changed(content, 40, "<Q", len(content) // 64 * 64),
        "a tensor has another shape": changed(content, 48, "<Q", 1 << 60),
        "a tensor has another type": changed(content, 64, "<Q", 1),
    }.items():
        with pytest.raises(ValueError, match=f"weights: {message}"):
            created(folder, other)
    for size in (0, 1, 39, 40, 100, len(content) - 1):
        with pytest.raises(ValueError, match="weights: the file is truncated"):
            created(folder, signed(content[:size]) if size > 40 else content[:size])
    moved = np.frombuffer(b"." + content, np.uint8).copy()[1:]
    with pytest.raises(ValueError, match="weights: expected memory aligned to 8 bytes"):
        runtime.Model(folder / "libnet.so", runtime.load(folder).facts, moved, max_batch=1, chunk=1)
