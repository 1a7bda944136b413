// What a core can do at the very most: multiply-adds a second in registers, and bytes a second that it reads of a
// number of them, again and again. Not a test: it is for `python -m benchmarks.roofline`.
#include "bytes.h"
#include "tests/rate.h"

#include <cstdio>
#include <cstdlib>
#include <memory>

namespace {

using namespace gatewise;

// In billions; pieces are read in turns from the first and from the last on, as the engine reads strips of weights.
double reading(int64_t bytes) {
  constexpr int64_t piece = 1 << 16;
  constexpr int registers = 8;
  const int64_t pieces = (bytes + piece - 1) / piece;
  const auto memory = std::make_unique<float[]>(pieces * piece / sizeof(float));
  Vec<float> sum[registers]{};
  const auto read = [&](int64_t number) {
    const float *from = memory.get() + number * piece / sizeof(float), *const end = from + piece / sizeof(float);
    for (; from < end; from += registers * lanes<float>) {
      fetch_ahead<registers * sizeof(Vec<float>)>(from);
#pragma GCC unroll 8
      for (int j = 0; j < registers; ++j) sum[j] += load<true>(from + j * lanes<float>, 0);
    }
  };
  double best = 1e9;
  for (int turn = 0; turn < 100; ++turn)
    best = std::min(best, seconds_of([&] {
                      for (int64_t k = 0; k < pieces; ++k) read(k);
                      for (int64_t k = pieces; k-- > 0;) read(k);
                    }));
  volatile float kept = 0;
  for (const Vec<float> &one : sum) kept = kept + one[0];
  return 2.0 * pieces * piece / best / 1e9;
}

} // namespace

// Prints the rates of floats, pairs of bfloat16 and bytes, each with the instruction if the processor has it; then
// those of reading as many bytes as each argument says.
int main(int count, char **arguments) {
  using Halves = bfloat16::Instruction;
  double floats = 0, halves = 0, whole = 0;
  for (int turn = 0; turn < 200; ++turn) {
    floats = rate<Numbers<float>, Vec<float>, float>(1, floats);
    halves = bfloat16::has_instruction() ? rate<Halves, Vec<float>, float>(2, halves)
                                         : rate<bfloat16::Widened, Vec<float>, float>(2, halves);
    whole = bytes::has_instruction() ? rate<bytes::Instruction, bytes::Ints, int32_t>(bytes::quad, whole)
                                     : rate<bytes::WidenedPairs, bytes::Ints, int32_t>(bytes::quad, whole);
  }
  std::printf("%g %g %g", floats, halves, whole);
  for (int k = 1; k < count; ++k) std::printf(" %g", reading(std::atoll(arguments[k])));
  std::printf("\n");
}
