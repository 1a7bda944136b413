"""The compiled engine: what is said when it is not there, cannot be used, or has no memory."""

import os
import re
from array import array
from pathlib import Path

import pytest
import torch

from gatewise.kernels.cpu import library, split
from tests.kernels.engine import needs_engine

DTYPES = pytest.mark.parametrize("dtype", list(library.SUFFIX), ids=str)


def test_why_it_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(library, "FOLDER", tmp_path)
    why = library.why_missing.__wrapped__
    assert why() == "the package was installed without compiled kernels: the engine has not been built"
    (tmp_path / "why_missing.txt").write_text("no working C++ compiler was found\n")
    assert why() == "the package was installed without compiled kernels: no working C++ compiler was found"


@needs_engine
def test_a_torch_without_openmp(monkeypatch: pytest.MonkeyPatch):
    assert library.why_missing.__wrapped__() is None
    monkeypatch.setattr(torch.__config__, "parallel_info", lambda: "ATen parallel backend: native thread pool")
    assert library.why_missing.__wrapped__() == "this build of torch has no OpenMP thread pool to share"


@needs_engine
@DTYPES
def test_the_widest_instruction_set_of_the_processor_or_the_one_that_is_asked_for(
    dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
):
    choose = library.engine.__wrapped__
    monkeypatch.delenv("GATEWISE_ISA", raising=False)
    width = choose(dtype).library.gatewise_vector_bytes()
    assert choose(dtype).lanes[dtype] * dtype.itemsize == width
    for bytes_wide, name in library.INSTRUCTION_SETS.items():
        monkeypatch.setenv("GATEWISE_ISA", name)
        if bytes_wide <= width:
            assert choose(dtype).instruction_set == name
            assert choose(dtype).lanes[dtype] * dtype.itemsize == bytes_wide
        else:
            with pytest.raises(ValueError, match=f"GATEWISE_ISA: expected one of .* on this processor, got '{name}'"):
                choose(dtype)
    monkeypatch.setenv("GATEWISE_ISA", "neon")
    with pytest.raises(ValueError, match=r"GATEWISE_ISA: expected one of .*plain on this processor, got 'neon'"):
        choose(dtype)


@needs_engine
def test_an_engine_of_another_version(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(library, "ABI", library.ABI + 1)
    message = f"the compiled engine has interface {library.ABI - 1}, this package expects {library.ABI}"
    with pytest.raises(OSError, match=message):
        library.Engine("plain")


NO_MEMORY = re.escape("the engine could not allocate its scratch memory; use smaller batches")


@needs_engine
@DTYPES
@pytest.mark.parametrize("slices", [1, 2])
def test_scratch_that_cannot_be_had(dtype: torch.dtype, slices: int):
    """Of a product, and of a run, of more rows and columns than there are addresses: nothing of it is touched."""
    huge = 1 << 50
    engine = library.engine(dtype)
    with pytest.raises(MemoryError, match=NO_MEMORY):
        engine.multiply(dtype, (0, 0, 0, slices, huge, 512, 1, huge, huge, 0, 0, 0, 0), slices)
    words = array("q", [0] * 23)
    words[0], words[1], words[2], words[11] = 1, huge, 1, 1
    with pytest.raises(MemoryError, match=NO_MEMORY):
        engine.run(dtype, words, 1, slices)


@needs_engine
def test_who_hands_out_slices(monkeypatch: pytest.MonkeyPatch):
    assert library.pool(1) is None
    assert library.pool(2) == library.pool_address()
    monkeypatch.setattr(split, "_forked", True)
    assert library.pool(2) is None


@needs_engine
def test_every_instruction_set_is_there():
    expected = library.INSTRUCTION_SETS.values() if os.uname().machine == "x86_64" else ["plain"]
    for name in expected:
        assert (library.FOLDER / f"libgatewise_{name}.so").is_file()
