// Products with weights in place: dot products along their rows, four at a time.
#pragma once

#include "vec.h"

#include <utility>

namespace gatewise {

// The even lanes of both, alternating in runs of `run`; with `odd` those that follow.
template <class T, int run, bool odd, int... lane>
inline Vec<T> take_runs(Vec<T> a, Vec<T> b, std::integer_sequence<int, lane...>) {
  return __builtin_shufflevector(
      a, b, (lane / (2 * run) * 2 * run + lane % run + (odd ? run : 0) + (lane / run % 2 ? lanes<T> : 0))...);
}
// Sums of neighbouring runs of lanes, those of a and b in turn.
template <class T, int run> inline Vec<T> add_pairs(Vec<T> a, Vec<T> b) {
  constexpr auto all = std::make_integer_sequence<int, lanes<T>>{};
  return take_runs<T, run, false>(a, b, all) + take_runs<T, run, true>(a, b, all);
}

template <class T> inline T sum_of_lanes(Vec<T> all) {
  T each[lanes<T>];
  std::memcpy(each, &all, sizeof all);
#pragma GCC unroll 8
  for (int half = lanes<T> / 2; half > 0; half /= 2)
#pragma GCC unroll 8
    for (int j = 0; j < half; ++j) each[j] += each[j + half];
  return each[0];
}

// Sum of a[k] · b[k], in as many chains as four registers have lanes.
template <class T> inline T dot(const T *a, const T *b, int64_t length) {
  Vec<T> sums[4]{};
  int64_t k = 0;
  for (; k + 4 * lanes<T> <= length; k += 4 * lanes<T>)
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) sums[j] += load<true>(a + k + j * lanes<T>, 0) * load<true>(b + k + j * lanes<T>, 0);
  for (; k + lanes<T> <= length; k += lanes<T>) sums[0] += load<true>(a + k, 0) * load<true>(b + k, 0);
  if (k < length) sums[1] += load<false>(a + k, int(length - k)) * load<false>(b + k, int(length - k));
  return sum_of_lanes<T>((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

// to[u] = start[u] + weights[u] · b for rows of weights that follow each other, `length` long.
template <class T>
inline void dots(const T *weights, const T *b, int64_t length, int64_t count, const T *start, T *to) {
  int64_t u = 0;
  if constexpr (lanes<T> >= 4) {
    const int64_t whole = length / lanes<T> * lanes<T>;
    const int rest = int(length - whole);
    for (; u + 4 <= count; u += 4) {
      const T *const row = weights + u * length;
      __builtin_prefetch(row + 8 * length);
      Vec<T> sum[4]{}, other[4]{};
      int64_t k = 0;
      for (; k + 2 * lanes<T> <= whole; k += 2 * lanes<T>) {
        const Vec<T> first = load<true>(b + k, 0), second = load<true>(b + k + lanes<T>, 0);
#pragma GCC unroll 4
        for (int j = 0; j < 4; ++j) {
          sum[j] += load<true>(row + j * length + k, 0) * first;
          other[j] += load<true>(row + j * length + k + lanes<T>, 0) * second;
        }
      }
      if (k < whole) {
        const Vec<T> first = load<true>(b + k, 0);
#pragma GCC unroll 4
        for (int j = 0; j < 4; ++j) sum[j] += load<true>(row + j * length + k, 0) * first;
      }
      if (rest) {
        const Vec<T> last = load<false>(b + whole, rest);
#pragma GCC unroll 4
        for (int j = 0; j < 4; ++j) other[j] += load<false>(row + j * length + whole, rest) * last;
      }
#pragma GCC unroll 4
      for (int j = 0; j < 4; ++j) sum[j] += other[j];
      const Vec<T> all = add_pairs<T, 2>(add_pairs<T, 1>(sum[0], sum[1]), add_pairs<T, 1>(sum[2], sum[3]));
      T each[lanes<T>];
      std::memcpy(each, &all, sizeof all);
#pragma GCC unroll 4
      for (int half = lanes<T> / 2; half >= 4; half /= 2)
#pragma GCC unroll 8
        for (int j = 0; j < half; ++j) each[j] += each[j + half];
#pragma GCC unroll 4
      for (int j = 0; j < 4; ++j) to[u + j] = start ? start[u + j] + each[j] : each[j];
    }
  }
  for (; u < count; ++u) {
    const T sum = dot(weights + u * length, b, length);
    to[u] = start ? start[u] + sum : sum;
  }
}

} // namespace gatewise
