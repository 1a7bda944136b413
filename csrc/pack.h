// Matrices laid out for the tile: strips of `group` columns, [strip][depth][group], zero beyond the last column.
#pragma once

#include "vec.h"

#include <algorithm>
#include <utility>

namespace gatewise {

// One step of Eklundh's transposition (1972): blocks of `side` lanes change places across the diagonal.
template <class T, int side, int... lane>
inline void exchange(Vec<T> &a, Vec<T> &b, std::integer_sequence<int, lane...>) {
  constexpr int n = lanes<T>;
  const Vec<T> first = __builtin_shufflevector(a, b, (lane & side ? n + lane - side : lane)...);
  b = __builtin_shufflevector(a, b, (lane & side ? n + lane : lane + side)...);
  a = first;
}
template <class T, int side> inline void exchange_all(Vec<T> (&row)[lanes<T>]) {
#pragma GCC unroll 16
  for (int i = 0; i < lanes<T>; ++i)
    if ((i & side) == 0) exchange<T, side>(row[i], row[i + side], std::make_integer_sequence<int, lanes<T>>{});
  if constexpr (side > 1) exchange_all<T, side / 2>(row);
}

// to (columns, rows) from its transpose, both a stride apart.
template <class T>
void transpose(const T *from, int64_t from_stride, int64_t rows, int64_t columns, T *to, int64_t to_stride) {
  constexpr int64_t side = lanes<T>;
  for (int64_t r = 0; r < rows; r += side)
    for (int64_t c = 0; c < columns; c += side) {
      const int64_t r_end = std::min(r + side, rows), c_end = std::min(c + side, columns);
      if (r_end - r == side && c_end - c == side) {
        Vec<T> square[side];
#pragma GCC unroll 16
        for (int i = 0; i < side; ++i) square[i] = load<true>(from + (r + i) * from_stride + c, 0);
        exchange_all<T, side / 2>(square);
#pragma GCC unroll 16
        for (int i = 0; i < side; ++i) store<true>(to + (c + i) * to_stride + r, square[i], 0);
      } else {
        for (int64_t i = r; i < r_end; ++i)
          for (int64_t j = c; j < c_end; ++j) to[j * to_stride + i] = from[i * from_stride + j];
      }
    }
}

// Rows [0, depth) of a row-major matrix, columns [first, first + group).
template <class T>
void pack_rows(const T *from, int64_t from_stride, int64_t depth, int64_t columns, int64_t group, T *to,
               int64_t to_stride) {
  for (int64_t k = 0; k < depth; ++k) {
    std::copy_n(from + k * from_stride, columns, to + k * to_stride);
    std::fill(to + k * to_stride + columns, to + k * to_stride + group, T(0));
  }
}

// The same of the transposed matrix: its columns are the rows of `from`.
template <class T>
void pack_columns(const T *from, int64_t from_stride, int64_t depth, int64_t columns, int64_t group, T *to,
                  int64_t to_stride) {
  transpose(from, from_stride, columns, depth, to, to_stride);
  if (columns < group)
    for (int64_t k = 0; k < depth; ++k) std::fill(to + k * to_stride + columns, to + k * to_stride + group, T(0));
}

// Blocks (units, depth), or when transposed (depth, units), by strips of `group` units. The strips are shared out among
// `slices` threads.
template <class T> struct Packing {
  const T *const *blocks;
  int64_t count, units, depth, group, transposed;
  T *packed;
  int64_t slices;

  void run(int64_t begin, int64_t end) {
    const int64_t strips = (units + group - 1) / group;
    for (int64_t s = strips * begin / slices; s < strips * end / slices; ++s) strip(s);
  }

private:
  void strip(int64_t s) const {
    const int64_t first = s * group, inside = std::min(group, units - first);
    T *const to = packed + s * depth * count * group;
    for (int64_t o = 0; o < count; ++o)
      if (transposed) pack_rows(blocks[o] + first, units, depth, inside, group, to + o * depth * group, group);
      else pack_columns(blocks[o] + first * depth, depth, depth, inside, group, to + o * group, count * group);
  }
};

} // namespace gatewise
