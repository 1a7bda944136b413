// Sums of squares, for observers: of gradients, and of the updates of weights.
#pragma once

#include "vec.h"

#include <cmath>
#include <cstdint>

namespace gatewise {

// As many numbers as a register holds in double precision, as such.
template <class T> inline Vec<double> widened(const T *from) {
  using Some [[gnu::vector_size(lanes<double> * sizeof(T))]] = T;
  Some some;
  std::memcpy(&some, from, sizeof some);
  return __builtin_convertvector(some, Vec<double>);
}

// Squares and their sum are double, so that no square of single precision underflows.
class SumOfSquares {
public:
  static constexpr int at_once = lanes<double>;
  // Several sums in turn hide the latency of one.
  void add(int turn, Vec<double> values) { sums[turn] += values * values; }
  void add(double value) { rest += value * value; }
  double total() const {
    const Vec<double> all = (sums[0] + sums[1]) + (sums[2] + sums[3]);
    double sum[at_once];
    std::memcpy(sum, &all, sizeof all);
#pragma GCC unroll 4
    for (int half = at_once / 2; half > 0; half /= 2)
#pragma GCC unroll 4
      for (int j = 0; j < half; ++j) sum[j] += sum[j + half];
    return rest + sum[0];
  }

private:
  Vec<double> sums[4]{};
  double rest = 0;
};

template <class T> inline double sum_of_squares(const T *from, int64_t length) {
  constexpr int n = SumOfSquares::at_once;
  SumOfSquares sum;
  int64_t i = 0;
  for (; i + 4 * n <= length; i += 4 * n)
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) sum.add(j, widened(from + i + j * n));
  for (; i + n <= length; i += n) sum.add(0, widened(from + i));
  for (; i < length; ++i) sum.add(double(from[i]));
  return sum.total();
}

// The norm of a row whose squares may over- or underflow.
template <class T> inline double scaled_norm(const T *from, int64_t length) {
  double largest = 0;
  for (int64_t i = 0; i < length; ++i) {
    const double size = std::abs(double(from[i]));
    if (largest == largest && !(size <= largest)) largest = size; // NaN stays
  }
  if (!(largest > 0) || std::isinf(largest)) return largest;
  int exponent;
  std::frexp(largest, &exponent);
  double sum = 0;
  for (int64_t i = 0; i < length; ++i) {
    const double scaled = std::ldexp(double(from[i]), -exponent);
    sum += scaled * scaled;
  }
  return std::ldexp(std::sqrt(sum), exponent);
}

// Update norms of a parameter: norms[0] of its gradient, norms[apart] of its change, norms[2 apart] of its old value.
template <class T> struct Change {
  T *norms;
  int64_t apart;
  const T *gradient, *after, *before;
  int64_t length;

  void measure() const {
    constexpr int n = SumOfSquares::at_once;
    SumOfSquares of_gradient, of_change, of_before;
    int64_t i = 0;
    for (; i + 2 * n <= length; i += 2 * n)
#pragma GCC unroll 2
      for (int j = 0; j < 2; ++j) {
        const int64_t k = i + j * n;
        const Vec<double> was = widened(before + k);
        of_gradient.add(j, widened(gradient + k));
        of_change.add(j, widened(after + k) - was);
        of_before.add(j, was);
      }
    for (; i < length; ++i) {
      of_gradient.add(double(gradient[i]));
      of_change.add(double(after[i]) - double(before[i]));
      of_before.add(double(before[i]));
    }
    norms[0] = T(std::sqrt(of_gradient.total()));
    norms[apart] = T(std::sqrt(of_change.total()));
    norms[2 * apart] = T(std::sqrt(of_before.total()));
  }
};

// Partitioned among `slices` threads.
template <class T> struct Changes {
  const Change<T> *changes;
  int64_t count, slices;
  void run(int64_t begin, int64_t end) {
    for (int64_t c = count * begin / slices; c < count * end / slices; ++c) changes[c].measure();
  }
};

} // namespace gatewise
