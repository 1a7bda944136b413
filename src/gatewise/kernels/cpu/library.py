"""The compiled engine: loading it for an instruction set, and calling it."""

import ctypes
import os
from array import array
from functools import cache
from pathlib import Path
from struct import Struct

import torch
from torch import Tensor

import gatewise
from gatewise.kernels.cpu import binding, interface
from gatewise.kernels.cpu.parallelism import forked

SUFFIX = {torch.float32: "f32", torch.float64: "f64"}
# By the bytes of a vector register, widest first. Double precision is built for all but the first.
INSTRUCTION_SETS = {64: "avx512", 32: "avx2", 16: "plain"}
Location = tuple[int, int, int, int]
_MASKED_MATRIX = Struct("=qIIQdqqqqQQ")  # csrc/masks.h: MaskedMatrix
FOLDER = Path(gatewise.__file__).parent / "_engine"


class Engine:
    """The engine of one instruction set, with the built-in cells.

    Attributes:
        abi: the number of its interface, checked against calls and programs.
        forward, backward: the addresses of the two passes, which the binding calls.
        binding: the functions through which Python calls them.

    Raises:
        OSError: when the files of the engine do not match each other.
    """

    def __init__(self, instruction_set: str) -> None:
        self.instruction_set = instruction_set
        self.library = library = ctypes.CDLL(str(FOLDER / f"libgatewise_{instruction_set}.so"))
        library.gatewise_abi.restype = ctypes.c_int64
        self.abi: int = library.gatewise_abi()
        self.binding = binding.load(str(FOLDER / binding.LIBRARY))
        interface.check_fields(self.binding.fields, interface.fields_of(library))
        self.forward, self.backward = _address(library.gatewise_forward), _address(library.gatewise_backward)
        self._saved = [
            library.gatewise_saved_blocks,
            library.gatewise_saved_projections,
            library.gatewise_saved_row_values,
        ]
        for function in self._saved:
            function.argtypes, function.restype = [ctypes.c_void_p], ctypes.c_int64
        self._measure = {dtype: getattr(library, f"gatewise_measure_{suffix}") for dtype, suffix in SUFFIX.items()}
        for function in self._measure.values():
            function.argtypes = [ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p]
            function.restype = None
        self._mask = {dtype: getattr(library, f"gatewise_mask_{suffix}") for dtype, suffix in SUFFIX.items()}
        for function in self._mask.values():
            function.argtypes, function.restype = [ctypes.c_char_p, ctypes.c_void_p], None

    def saved(self, program: int) -> tuple[int, int, int]:
        """Number of blocks of H units, of P, and of single values, saved for backward per row of a program."""
        blocks, projections, row_values = (function(program) for function in self._saved)
        return blocks, projections, row_values

    def measure(self, dtype: torch.dtype, changes: array, count: int, slices: int) -> None:
        """Compute the update norms of an optimiser step."""
        self._measure[dtype](changes.buffer_info()[0], count, slices, pool(slices))

    def mask(self, location: Location, rate: tuple[int, float], matrix: Tensor, to: Tensor, slices: int) -> None:
        """Write the product of a matrix and a mask, both dense and on the CPU.

        Args:
            location: seed, stream, name and step.
            rate: the threshold of random words, and the factor of what is kept.
            matrix: the matrix.
            to: what is written to, of its shape and dtype.
            slices: parts that may run on threads of their own.
        """
        seed, stream, name, step = location
        sizes = (step, *matrix.shape, slices, matrix.data_ptr(), to.data_ptr())
        self._mask[to.dtype](_MASKED_MATRIX.pack(seed, stream, name, *rate, *sizes), pool(slices))


@cache
def why_missing() -> str | None:
    """The reason why there is no compiled engine, or None."""
    if not (FOLDER / "libgatewise_plain.so").exists():
        note = FOLDER / "why_missing.txt"  # written by the build
        reason = note.read_text().strip() if note.exists() else "the engine has not been built"
        return f"the package was installed without compiled kernels: {reason}"
    if torch.__config__.parallel_info().find("ATen parallel backend: OpenMP") < 0:
        return "this build of torch has no OpenMP thread pool to share"
    return None


@cache
def engine() -> Engine:
    """The engine, of the widest instruction set that the processor runs.

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
    """The function that distributes slices to threads; None to run all on this one."""
    return None if slices == 1 or forked() else pool_address()


@cache
def pool_address() -> int:
    """The address of the function by which torch's own thread pool runs slices."""
    folder = Path(torch.__file__).parent / "lib"
    name = {"darwin": "libtorch_cpu.dylib"}.get(os.uname().sysname.lower(), "libtorch_cpu.so")
    function = ctypes.CDLL(str(folder / name)).torch_parallel_for
    return _address(function)


def _address(function: object) -> int:
    address = ctypes.cast(function, ctypes.c_void_p).value  # pyright: ignore[reportArgumentType]
    assert address is not None
    return address
