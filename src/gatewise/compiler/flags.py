"""How the engine and the emitted cells are compiled, said once: for the build of the package, and for its tests.

``python -m gatewise.compiler.flags avx2 HEADERS`` prints the compiler's options for an instruction set.
"""

import sys
from hashlib import sha256
from pathlib import Path

# No -ffast-math: infinities, NaN and the order of sums are part of what is promised. The contraction of a · b + c into
# one rounding is fixed, so that compilers agree; errno and floating-point traps are never looked at.
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


# What the engine and the code emitted for a cell know of each other, beside the vector width.
INTERFACE = ("api.h", "program.h", "cell.h")


def flags(instruction_set: str, headers: Path) -> tuple[str, ...]:
    """The compiler's options for an instruction set.

    Arguments:
        instruction_set: its name.
        headers: the folder of the engine's headers, whose interface gets a number of its own.

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
