"""The compiled engine: errors when it is missing, cannot be used, or has no memory."""

import os
from pathlib import Path

import pytest
import torch

from gatewise.kernels.cpu import interface, library, parallelism, workspace
from tests.kernels.calls import call_of, on_engine
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
def test_the_widest_instruction_set_of_the_processor_or_the_one_that_is_asked_for(monkeypatch: pytest.MonkeyPatch):
    choose = library.engine.__wrapped__
    monkeypatch.delenv("GATEWISE_ISA", raising=False)
    width = library._load("plain").library.gatewise_vector_bytes()
    assert choose().instruction_set == library.INSTRUCTION_SETS[width]
    for bytes_wide, name in library.INSTRUCTION_SETS.items():
        monkeypatch.setenv("GATEWISE_ISA", name)
        if bytes_wide <= width:
            assert choose().instruction_set == name
        else:
            with pytest.raises(ValueError, match=f"GATEWISE_ISA: expected one of .* on this processor, got '{name}'"):
                choose()
    monkeypatch.setenv("GATEWISE_ISA", "neon")
    with pytest.raises(ValueError, match=r"GATEWISE_ISA: expected one of .*plain on this processor, got 'neon'"):
        choose()


@needs_engine
def test_instruction_sets_have_interfaces_of_their_own():
    """A program that was compiled for one is rejected by the others."""
    sets = library.INSTRUCTION_SETS.values() if os.uname().machine == "x86_64" else ["plain"]
    numbers = {library._load(name).abi for name in sets if (library.FOLDER / f"libgatewise_{name}.so").is_file()}
    assert len(numbers) == len(list(sets))


@needs_engine
def test_an_engine_that_lays_out_a_call_differently(monkeypatch: pytest.MonkeyPatch):
    fields = library.engine().binding.fields
    gradient, value = "parameters.gradient", "parameters.value"
    swapped = {**fields, gradient: fields[value], value: fields[gradient]}
    monkeypatch.setattr(interface, "fields_of", lambda _: swapped)
    with pytest.raises(OSError, match=r"lays out a call differently \(parameters\.gradient, parameters\.value\)"):
        library.Engine("plain")


@needs_engine
def test_a_call_of_another_build(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(library.engine(), "abi", library.engine().abi + 1)
    with pytest.raises(RuntimeError, match="the fused CPU kernels returned code 6; install gatewise again"):
        on_engine(call_of("lstm"))


def test_a_workspace_that_cannot_be_had():
    with pytest.raises(MemoryError, match=r"the fused CPU kernels need a workspace of .* MiB; use smaller batches"):
        workspace.larger(1 << 60)


@needs_engine
def test_who_hands_out_slices(monkeypatch: pytest.MonkeyPatch):
    assert library.pool(1) is None
    assert library.pool(2) == library.pool_address()
    monkeypatch.setattr(parallelism, "_forked", True)
    assert library.pool(2) is None


@needs_engine
def test_every_instruction_set_is_there():
    expected = library.INSTRUCTION_SETS.values() if os.uname().machine == "x86_64" else ["plain"]
    for name in expected:
        assert (library.FOLDER / f"libgatewise_{name}.so").is_file()
