// Rows copied from and to where an index says.
#pragma once

#include <cstdint>
#include <cstring>

namespace gatewise {

// Everything in bytes. Without an index rows follow each other; without a source they become zero.
struct RowCopy {
  const char *from;
  char *to;
  int64_t from_stride, to_stride, width;
  const int64_t *from_index, *to_index;
  int64_t count;

  void run(int64_t first, int64_t last) const {
    for (int64_t i = first; i < last; ++i) {
      char *const target = to + (to_index ? to_index[i] : i) * to_stride;
      if (from) std::memcpy(target, from + (from_index ? from_index[i] : i) * from_stride, size_t(width));
      else std::memset(target, 0, size_t(width));
    }
  }
};

} // namespace gatewise
