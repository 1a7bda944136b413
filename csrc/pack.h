// Matrices laid out for the tile: strips of `group` columns, [strip][depth][group], zero beyond the last column.
#pragma once

#include "vec.h"

#include <algorithm>

namespace gatewise {

// A square of lanes × lanes at a time, so that both sides touch whole cache lines.
template <class T>
void transpose(const T *from, int64_t from_stride, int64_t rows, int64_t columns, T *to, int64_t to_stride) {
  constexpr int64_t side = 16;
  for (int64_t r = 0; r < rows; r += side)
    for (int64_t c = 0; c < columns; c += side) {
      const int64_t r_end = std::min(r + side, rows), c_end = std::min(c + side, columns);
      if (r_end - r == side && c_end - c == side) {
        T square[side][side];
        for (int64_t i = 0; i < side; ++i)
          for (int64_t j = 0; j < side; ++j) square[j][i] = from[(r + i) * from_stride + c + j];
        for (int64_t j = 0; j < side; ++j)
          for (int64_t i = 0; i < side; ++i) to[(c + j) * to_stride + r + i] = square[j][i];
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

} // namespace gatewise
