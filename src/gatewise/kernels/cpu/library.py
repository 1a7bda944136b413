"""The compiled engine: finding it, choosing the instruction set, calling it."""

import ctypes
import os
from array import array
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import torch

import gatewise
from gatewise.kernels.cpu.split import forked

ABI = 7
SUFFIX = {torch.float32: "f32", torch.float64: "f64"}
# By the bytes of a vector register, widest first. Double precision is built for all but the first.
INSTRUCTION_SETS = {64: "avx512", 32: "avx2", 16: "plain"}
FOLDER = Path(gatewise.__file__).parent / "_engine"


class Engine:
    """The engine of one instruction set, with the built-in cells."""

    def __init__(self, instruction_set: str) -> None:
        self.instruction_set = instruction_set
        self.library = ctypes.CDLL(str(FOLDER / f"libgatewise_{instruction_set}.so"))
        if self.library.gatewise_abi() != ABI:
            raise OSError(
                f"the compiled engine has interface {self.library.gatewise_abi()}, this package expects {ABI}"
            )
        self.lanes = {dtype: int(self._function("lanes", dtype)()) for dtype in SUFFIX}
        self._run = {dtype: self._function("run", dtype) for dtype in SUFFIX}
        self._play = {dtype: self._function("play", dtype) for dtype in SUFFIX}
        self._multiply = {dtype: self._function("multiply", dtype) for dtype in SUFFIX}
        self._pack = {dtype: self._function("pack", dtype) for dtype in SUFFIX}
        self._add_up = {dtype: self._function("add_up", dtype) for dtype in SUFFIX}
        self._measure = {dtype: self._function("measure", dtype) for dtype in SUFFIX}
        for function in self._run.values():
            function.argtypes = [ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p]
        for function in self._play.values():
            function.argtypes = [ctypes.c_void_p]
        for function in self._multiply.values():
            function.argtypes = [ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p]
        for function in self._pack.values():
            function.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
            function.restype = None
        for function in self._add_up.values():
            function.argtypes = [ctypes.c_void_p, ctypes.c_int64]
            function.restype = None
        for function in self._measure.values():
            function.argtypes = [ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p]
            function.restype = None
        self._order = self.library.gatewise_order
        self._order.argtypes = [ctypes.c_void_p]
        self._order.restype = ctypes.c_int64
        self._copy_rows = self.library.gatewise_copy_rows
        self._copy_rows.argtypes = [ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p]
        self._copy_rows.restype = None

    def _function(self, name: str, dtype: torch.dtype) -> "ctypes._NamedFuncPointer":
        return getattr(self.library, f"gatewise_{name}_{SUFFIX[dtype]}")

    def run(self, dtype: torch.dtype, jobs: array, count: int, slices: int) -> None:
        """Run the time loops of some jobs, given as words, each on so many threads."""
        self._check(self._run[dtype](jobs.buffer_info()[0], count, slices, pool(count * slices)))

    def play_function(self, dtype: torch.dtype) -> Callable[[int], int]:
        """What does what was laid out once, given where the words of a ``Tape`` stand; 1: without memory."""
        return self._play[dtype]

    def multiply(self, dtype: torch.dtype, words: Sequence[int], slices: int) -> None:
        """One matrix product, given as words."""
        laid_out = array("q", words)
        self._check(self._multiply[dtype](laid_out.buffer_info()[0], slices, pool(slices)))

    def order(self, ordering: array) -> int:
        """Put rows and steps in order, given as words; how many places there are."""
        return self._order(ordering.buffer_info()[0])

    def copy_rows(self, words: Sequence[int], slices: int) -> None:
        """Copy rows from and to where an index says, given as words."""
        laid_out = array("q", words)
        self._copy_rows(laid_out.buffer_info()[0], slices, pool(slices))

    def pack(self, dtype: torch.dtype, packing: array, slices: int) -> None:
        """Lay parameter blocks out for the tile, given as words."""
        self._pack[dtype](packing.buffer_info()[0], pool(slices))

    def add_up(self, dtype: torch.dtype, sums: array, count: int) -> None:
        """Sums of vectors, given as words."""
        self._add_up[dtype](sums.buffer_info()[0], count)

    def measure(self, dtype: torch.dtype, changes: array, count: int, slices: int) -> None:
        """Norms of what a step did to parameters, given as words."""
        self._measure[dtype](changes.buffer_info()[0], count, slices, pool(slices))

    @staticmethod
    def _check(code: int) -> None:
        if code:
            raise out_of_memory()


def out_of_memory() -> MemoryError:
    """What to raise when a function of the engine returns anything but 0."""
    return MemoryError("the engine could not allocate its scratch memory; use smaller batches")


@cache
def why_missing() -> str | None:
    """Why there is no compiled engine, or None."""
    if not (FOLDER / "libgatewise_plain.so").exists():
        note = FOLDER / "why_missing.txt"  # written by the build
        reason = note.read_text().strip() if note.exists() else "the engine has not been built"
        return f"the package was installed without compiled kernels: {reason}"
    if torch.__config__.parallel_info().find("ATen parallel backend: OpenMP") < 0:
        return "this build of torch has no OpenMP thread pool to share"
    return None


@cache
def engine(dtype: torch.dtype) -> Engine:
    """The engine for a dtype, of the widest instruction set that the processor runs.

    ``GATEWISE_ISA`` (avx512, avx2 or plain) forces one.

    Raises:
        ValueError: when the forced one is unknown, or the processor does not run it.
    """
    widest = int(_load("plain").library.gatewise_vector_bytes())
    able = [name for width, name in INSTRUCTION_SETS.items() if width <= widest]
    forced = os.environ.get("GATEWISE_ISA")
    if forced is not None and forced not in able:
        raise ValueError(f"GATEWISE_ISA: expected one of {', '.join(able)} on this processor, got {forced!r}")
    return _load(forced or able[0])


@cache
def _load(instruction_set: str) -> Engine:
    return Engine(instruction_set)


def pool(slices: int) -> int | None:
    """Who hands slices to threads; None: all of them run on this one."""
    return None if slices == 1 or forked() else pool_address()


@cache
def pool_address() -> int:
    """The address of the function by which torch's own thread pool runs slices."""
    folder = Path(torch.__file__).parent / "lib"
    name = {"darwin": "libtorch_cpu.dylib"}.get(os.uname().sysname.lower(), "libtorch_cpu.so")
    function = ctypes.CDLL(str(folder / name)).torch_parallel_for
    address = ctypes.cast(function, ctypes.c_void_p).value
    assert address is not None
    return address
