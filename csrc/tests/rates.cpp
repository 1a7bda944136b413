// How many multiply-adds a second a core does in registers: floats, and pairs of bfloat16. Not a test: it is for
// `python -m benchmarks.bfloat16`.
#include "tests/rate.h"

#include <cstdio>

// Prints the rates of float, of pairs in the instruction, or 0 without one, and of widened pairs.
int main() {
  using namespace gatewise;
  double numbers = 0, instruction = 0, widened = 0;
  for (int turn = 0; turn < 200; ++turn) {
    numbers = rate<Numbers<float>, Vec<float>, float>(1, numbers);
    if (bfloat16::has_instruction()) instruction = rate<bfloat16::Instruction, Vec<float>, float>(2, instruction);
    widened = rate<bfloat16::Widened, Vec<float>, float>(2, widened);
  }
  std::printf("%g %g %g\n", numbers, instruction, widened);
}
