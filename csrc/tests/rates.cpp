// How many multiply-adds a second a core does in registers: floats, and pairs of bfloat16. Not a test: it is for
// `python -m benchmarks.bfloat16`.
#include "tile.h"

#include <chrono>
#include <cstdio>

namespace {

using namespace gatewise;

constexpr int sums = GATEWISE_VECTOR_BYTES == 64 ? 24 : 12; // enough to hide the latency of one
constexpr int64_t rounds = 20000;

// Of a register, the rate in billions; the fastest of many turns.
template <class Product> double rate(int64_t products_of_a_lane, double best) {
  volatile float given = 0;
  Vec<float> sum[sums], weights = given - Vec<float>{};
  for (int j = 0; j < sums; ++j) sum[j] = float(j) - Vec<float>{}; // no two are the same
  const float value = given;
  const auto begin = std::chrono::steady_clock::now();
  for (int64_t k = 0; k < rounds; ++k)
#pragma GCC unroll 24
    for (int j = 0; j < sums; ++j) sum[j] = Product::add(sum[j], weights, value);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  Vec<float> all{};
  for (int j = 0; j < sums; ++j) all += sum[j];
  given = all[0];
  return std::max(best, rounds * sums * lanes<float> * products_of_a_lane / seconds / 1e9);
}

} // namespace

// Prints the rates of float, of pairs in the instruction, or 0 without one, and of widened pairs.
int main() {
  double numbers = 0, instruction = 0, widened = 0;
  for (int turn = 0; turn < 200; ++turn) {
    numbers = rate<Numbers<float>>(1, numbers);
    if (bfloat16::has_instruction()) instruction = rate<bfloat16::Instruction>(2, instruction);
    widened = rate<bfloat16::Widened>(2, widened);
  }
  std::printf("%g %g %g\n", numbers, instruction, widened);
}
