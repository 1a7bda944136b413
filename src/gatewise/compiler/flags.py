"""Compiler options of the engine and of emitted cells, for the package build, user-defined cells and tests.

``python -m gatewise.compiler.flags avx2 HEADERS`` prints the compiler's options for an instruction set.
"""

import sys
from hashlib import sha256
from pathlib import Path

# No -ffast-math: infinities, NaN and the order of summation are guaranteed. The contraction of a · b + c into
# one rounding is fixed, so that compilers agree; errno and floating-point traps are not used.
COMMON = (
    "-std=c++20",
    "-O3",
    "-ffp-contract=fast",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fPIC",
    "-fvisibility=hidden",
    "-fvisibility-inlines-hidden",
    "-Wall",
    "-Wextra",
)
# Widest first. x86-64 has all of them, other processors the last.
INSTRUCTION_SETS = {
    "avx512": (
        "-mavx512f",
        "-mavx512dq",
        "-mavx512bw",
        "-mavx512vl",
        "-mavx2",
        "-mfma",
        "-DGATEWISE_VECTOR_BYTES=64",
    ),
    "avx2": ("-mavx2", "-mfma", "-DGATEWISE_VECTOR_BYTES=32"),
    "plain": ("-DGATEWISE_VECTOR_BYTES=16",),
}
# Of an exported model: small, with nothing that the exported functions do not reach.
EXPORTED = (
    *(option for option in COMMON if option not in ("-O3", "-Wall", "-Wextra")),
    "-O2",
    "-fno-exceptions",
    "-fno-rtti",
    "-fno-asynchronous-unwind-tables",
    "-ffunction-sections",
    "-fdata-sections",
)
EXPORTED_LINK = ("-static-libstdc++", "-static-libgcc", "-Wl,--exclude-libs,ALL", "-Wl,--gc-sections", "-s")


# The interface between the engine and emitted cells, besides the vector width.
INTERFACE = ("api.h", "program.h", "cell.h")


def flags(instruction_set: str, headers: Path) -> tuple[str, ...]:
    """The compiler's options for an instruction set.

    Args:
        instruction_set: a key of `INSTRUCTION_SETS`.
        headers: the folder of the engine's headers, from which the ABI number is computed.

    >>> flags("plain", Path("csrc"))[-2]
    '-DGATEWISE_VECTOR_BYTES=16'
    """
    options = INSTRUCTION_SETS[instruction_set]
    digest = sha256(options[-1].encode())
    for name in INTERFACE:
        digest.update((headers / name).read_bytes())
    return (*COMMON, *options, f"-DGATEWISE_ABI={int.from_bytes(digest.digest()[:7], 'big')}")


if __name__ == "__main__":
    print(*flags(sys.argv[1], Path(sys.argv[2])))
