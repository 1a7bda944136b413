"""A file may be a pipe, packed or not: it is read once, from its beginning on."""

import gzip
import os
import threading

import pytest

from gatewise.embeddings import load_embedding


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_a_pipe(tmp_path, pack):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(pack(b"a 1 2\nb 3 4\n"),))
    writer.start()
    try:
        assert load_embedding(path, ["b"]).matrix.tolist() == [[3, 4]]
    finally:
        writer.join()
