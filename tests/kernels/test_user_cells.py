"""Cells that are not built in, on the fused CPU backend: compiled at first use, or the reason why not."""

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import gatewise
from csrc.tests.build import compiler
from gatewise.compiler import build_cache, emit
from gatewise.compiler.build import find_compiler
from gatewise.equations import cell, sigmoid, tanh
from gatewise.kernels.cpu import library, program, user_cells
from tests.kernels.calls import call_of, flat, on_engine

pytestmark = pytest.mark.skipif(
    library.why_missing() is not None or compiler() is None, reason="no compiled engine, or no C++ compiler here"
)


@cell
def own(x, h, c, /, W, R, b):
    f = sigmoid(W.f @ x + R.f @ h + b.f)
    g = tanh(W.g @ x + R.g @ h + b.g)
    return tanh(f * c + (1 - f) * g), f * c + (1 - f) * g


Fresh = Callable[[], None]


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> Fresh:
    """Makes a process of this one that has met no cell."""

    def forget() -> None:
        monkeypatch.setattr(program, "_found", {})
        find_compiler.cache_clear()

    forget()
    return forget


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh: Fresh) -> Path:
    monkeypatch.setenv("GATEWISE_CACHE", str(tmp_path / "cells"))
    return tmp_path / "cells"


def rejected() -> str:
    """Why the cpu backend does not run `own`; everything that a user can do with it works all the same."""
    choice = gatewise.kernels.backend_for(call_of(own))
    assert choice.name == "reference"
    reason = choice.reason.removeprefix("not cpu: ").partition("; not torch: ")[0]
    with pytest.raises(
        ValueError, match=re.escape(f"backend 'cpu' was asked for by name and cannot run this call: {reason}")
    ):
        gatewise.Recurrent(own, 2, 3, backend="cpu")(torch.zeros(2, 2, 2))
    right = flat(gatewise.kernels.run(call_of(own), backend="reference"))
    for a, b in zip(flat(gatewise.kernels.run(call_of(own))), right, strict=True):
        assert torch.equal(a, b)
    return reason


def assert_compiled() -> None:
    """`own` runs on the cpu backend, with the reference's numbers."""
    call = call_of(own, "bidirectional", steps=9, batch=5, hidden_size=19, lengths=[9, 0, 3, 5, 9], reset=True)
    assert gatewise.kernels.backend_for(call).name == "cpu"
    ours = flat(gatewise.kernels.run(call))
    right = flat(gatewise.kernels.run(call, backend="reference"))
    torch.testing.assert_close(ours, right)
    found, expected = (
        torch.autograd.grad(sum(value.square().sum() for value in values), call.tensors) for values in (ours, right)
    )
    torch.testing.assert_close(found, expected)


def test_one_line_while_it_is_compiled(folder: Path, fresh: Fresh, capfd: pytest.CaptureFixture[str]):
    layer = gatewise.Recurrent(own, 2, 3)
    gatewise.Recurrent(own, 2, 3, backend="reference")(torch.zeros(2, 2, 2))
    assert not folder.exists()
    layer(torch.zeros(2, 2, 2))
    assert capfd.readouterr().err == f"gatewise: compiling cell own (once, kept in {folder})\n"
    assert_compiled()
    fresh()
    assert_compiled()
    assert capfd.readouterr().err == ""
    assert len(list(folder.iterdir())) == 1


def test_a_built_in_cell_that_has_changed_since_the_engine_was_built(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    """It is compiled anew, instead of the old equations being run under its name."""
    lstm = gatewise.cells.lookup("lstm")
    expected = flat(on_engine(call_of(lstm)))
    monkeypatch.setattr(program, "_found", {})
    monkeypatch.setattr(program, "_prefixes", lambda: {lstm.equations: (lstm, "gatewise_lstm_of_another_time")})
    torch.testing.assert_close(flat(on_engine(call_of(lstm))), expected)
    assert "gatewise: compiling cell lstm (once" in capfd.readouterr().err


def test_cells_that_differ_in_words_alone_share_a_library(folder: Path, capfd: pytest.CaptureFixture[str]):
    assert_compiled()
    renamed = gatewise.Cell.from_text(own.text.replace('name "own"', 'name "another"'))
    assert renamed != own
    assert gatewise.kernels.backend_for(call_of(renamed)).name == "cpu"
    assert capfd.readouterr().err.count("compiling") == 1


def test_a_library_that_was_cut_off_is_made_again(folder: Path, fresh: Fresh, capfd: pytest.CaptureFixture[str]):
    assert_compiled()
    (kept,) = folder.iterdir()
    content = kept.read_bytes()
    kept.unlink()  # it is mapped
    for size in (0, len(content) // 2):
        kept.write_bytes(content[:size])
        fresh()
        assert_compiled()
        kept.unlink()
    assert capfd.readouterr().err.count("compiling cell own") == 3


def test_no_compiler(folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]):
    monkeypatch.setenv("CXX", "absent-c++")
    reason = rejected()
    assert reason.startswith("cell own could not be compiled: no C++ compiler was found (CXX=absent-c++)")
    # Reported once, and not tried again: a layer keeps its backend.
    monkeypatch.delenv("CXX")
    assert rejected() == reason
    assert capfd.readouterr().err == f"gatewise: {reason}\n"


def test_a_compiler_that_fails(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CXX", "false")
    assert "could not be compiled: the C++ compiler" in rejected()


def test_a_folder_that_others_can_write(folder: Path):
    folder.mkdir()
    folder.chmod(0o777)
    assert rejected().startswith(f"cell own could not be compiled: {folder}: can be written by others (chmod go-w)")


def test_folder_of_another_user(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(build_cache.os, "getuid", lambda: 12345)
    assert f"{folder}: belongs to another user" in rejected()


def test_a_full_disk(folder: Path, monkeypatch: pytest.MonkeyPatch):
    def full(content: bytes, path: Path) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(build_cache, "write", full)
    assert "No space left on device; name a folder of your own with" in rejected()
    assert list(folder.iterdir()) == []


def test_what_cannot_be_loaded_or_is_something_else(
    folder: Path, tmp_path: Path, fresh: Fresh, monkeypatch: pytest.MonkeyPatch
):
    assert_compiled()
    (kept,) = folder.iterdir()
    path, key = kept, "0" * 64
    monkeypatch.setattr(user_cells, "build", lambda *_: (path, key))
    fresh()
    assert rejected().endswith(f"{kept} was compiled for something else; remove it")
    path = tmp_path / "text.so"
    for content in (b"nothing", (library.FOLDER / "libgatewise_plain.so").read_bytes()):
        path.write_bytes(content)
        fresh()
        reason = rejected()
        assert "what was compiled cannot be loaded, and was removed: " in reason
        assert reason.endswith("name a folder of your own with the environment variable GATEWISE_CACHE")
        assert not path.exists()


def test_after_a_compiler_that_makes_rubbish_another_process_has_another_try(
    folder: Path, tmp_path: Path, fresh: Fresh, monkeypatch: pytest.MonkeyPatch
):
    broken = tmp_path / "compiler"
    broken.write_text(
        f"#!/bin/sh\nif test -e '{tmp_path}/repaired'; then exec c++ \"$@\"; fi\n"
        'test "$1" = --version && exec c++ --version\necho rubbish > cell.so\n'
    )
    broken.chmod(0o755)
    monkeypatch.setenv("CXX", str(broken))
    assert "cannot be loaded, and was removed" in rejected()
    (tmp_path / "repaired").touch()
    fresh()
    assert_compiled()


@pytest.mark.parametrize("instruction_set", library.INSTRUCTION_SETS.values())
def test_every_instruction_set(instruction_set: str, fresh: Fresh, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GATEWISE_ISA", instruction_set)
    library.engine.cache_clear()
    try:
        library.engine()
    except ValueError:
        pytest.skip(f"this processor has no {instruction_set}")
    else:
        assert_compiled()
    finally:
        library.engine.cache_clear()


def test_what_cannot_be_scheduled_runs_on_the_reference(fresh: Fresh, capfd: pytest.CaptureFixture[str]):
    @cell
    def long_sum(x, h, /, W, R, b):
        total = W @ x + R @ h + b
        for factor in range(1, 1500):
            total = total + factor * h
        return tanh(total)

    layer = gatewise.Recurrent(long_sum, 2, 3)
    reason = "cell long_sum could not be compiled: its equations are nested too deeply"
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(1000)  # which other tests may have raised
    choice = layer.backend_for(torch.zeros(2, 2, 2))
    sys.setrecursionlimit(limit)
    assert choice.name == "reference"
    assert f"not cpu: {reason};" in choice.reason
    layer(torch.zeros(2, 2, 2))[0].sum().backward()
    assert capfd.readouterr().err == f"gatewise: {reason}\n"
    layer.backend = "cpu"
    with pytest.raises(ValueError, match=f"cannot run this call: {reason}"):
        layer(torch.zeros(2, 2, 2))


def test_what_the_compiler_trips_over_runs_on_the_reference(fresh: Fresh, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(emit, "backward_loop", lambda *_: {}["no slot"])
    assert (
        rejected() == "cell own could not be compiled: the compiler cannot schedule its equations (KeyError: 'no slot')"
    )


def test_what_cancels_in_the_equations_leaves_a_constant(fresh: Fresh):
    """Of which the compiled cell has the product with a matrix, and its gradient."""

    @cell
    def cancelling(x, h, /, W, R, Q, b):
        return tanh(W @ x + R @ h + Q @ sigmoid(h - h) + b)

    call = call_of(cancelling)
    expected, actual = (
        (*flat(done), *torch.autograd.grad(flat(done)[0].sum(), call.tensors))
        for done in (gatewise.kernels.run(call, backend=name) for name in ("reference", "cpu"))
    )
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-12)
