"""How the engine and the emitted cells are compiled, said once: for the build of the package, and for its tests.

``python -m gatewise.compiler.flags avx2`` prints the compiler's options for an instruction set.
"""

import sys

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


def flags(instruction_set: str) -> tuple[str, ...]:
    """The compiler's options for an instruction set.

    >>> flags("plain")[-1]
    '-DGATEWISE_VECTOR_BYTES=16'
    """
    return (*COMMON, *INSTRUCTION_SETS[instruction_set])


if __name__ == "__main__":
    print(*flags(sys.argv[1]))
