// Norms of rows, for whoever watches: of gradients, and of how far a step moved the weights.
#pragma once

#include <cmath>
#include <cstdint>

namespace gatewise {

// to[r] = ‖from[r] − less[r]‖, dense rows; without `less` ‖from[r]‖. Squares and sums are double, so that of single
// precision no square is lost.
template <class T> struct Norm {
  T *to;
  const T *from, *less;
  int64_t rows, width;

  void make() const {
    for (int64_t r = 0; r < rows; ++r) {
      const int64_t at = r * width;
      to[r] = T(std::sqrt(less ? squares<true>(from + at, less + at) : squares<false>(from + at, nullptr)));
    }
  }

private:
  template <bool difference> double squares(const T *a, const T *b) const {
    constexpr int side_by_side = 32;
    double sums[side_by_side]{}, rest = 0;
    int64_t i = 0;
    for (; i + side_by_side <= width; i += side_by_side)
      for (int j = 0; j < side_by_side; ++j) {
        const double d = difference ? double(a[i + j]) - double(b[i + j]) : double(a[i + j]);
        sums[j] += d * d;
      }
    for (; i < width; ++i) {
      const double d = difference ? double(a[i]) - double(b[i]) : double(a[i]);
      rest += d * d;
    }
    for (const double sum : sums) rest += sum;
    return rest;
  }
};

// The norms are shared out among `slices` threads.
template <class T> struct Norms {
  const Norm<T> *norms;
  int64_t count, slices;
  void run(int64_t begin, int64_t end) {
    for (int64_t n = count * begin / slices; n < count * end / slices; ++n) norms[n].make();
  }
};

} // namespace gatewise
