// Sums of vectors: biases, and gradients that several threads have a share of.
#pragma once

#include <algorithm>
#include <cstdint>

namespace gatewise {

// to[i] = from[0][i] + from[1][i] + …, in this order; 0 of none. `to` may be the first of them.
template <class T> struct Sum {
  T *to;
  int64_t length, count;
  const T *const *from;

  void make() const {
    if (count == 0) std::fill_n(to, length, T(0));
    else if (to != from[0]) std::copy_n(from[0], length, to);
    for (int64_t k = 1; k < count; ++k)
      for (int64_t i = 0; i < length; ++i) to[i] += from[k][i];
  }
};

} // namespace gatewise
