// How many multiply-adds a second a core does in registers.
#pragma once

#include "tile.h"

#include <chrono>

namespace gatewise {

// Runs `work`; returns its seconds.
template <class Function> double seconds_of(Function work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

// Of products whose sums are registers like `Sum`, in billions; the faster of one more turn and `best`.
template <class Product, class Sum, class Value> double rate(int64_t products_of_a_lane, double best) {
  constexpr int sums = GATEWISE_VECTOR_BYTES == 64 ? 24 : 12; // enough to hide the latency of one
  constexpr int64_t rounds = 20000;
  volatile Value given = 0;
  const Value value = given;
  Sum sum[sums], weights = value - Sum{};
  for (int j = 0; j < sums; ++j) sum[j] = Value(j) - Sum{}; // no two are the same
  const double seconds = seconds_of([&] {
    for (int64_t k = 0; k < rounds; ++k)
#pragma GCC unroll 24
      for (int j = 0; j < sums; ++j) sum[j] = Product::add(sum[j], weights, value);
  });
  Sum all{};
  for (int j = 0; j < sums; ++j) all += sum[j];
  given = all[0];
  return std::max(best, rounds * sums * lanes<float> * products_of_a_lane / seconds / 1e9);
}

} // namespace gatewise
