// Products of whole matrices, made of the same register tile as the time loop.
#pragma once

#include "pack.h"
#include "tile.h"

namespace gatewise {

inline constexpr int64_t depth_block = 512; // a strip of weights this deep stays in the first cache levels
inline constexpr int64_t row_block = 120;

// c (rows, columns) = a (rows, depth) · b, or + when add. b is (depth, columns), or its transpose (columns, depth).
// With a_transposed, a is given as (depth, rows).
template <class T> struct Gemm {
  const T *a, *b;
  T *c;
  int64_t rows, columns, depth, a_stride, b_stride, c_stride;
  int64_t a_transposed, b_transposed, add;
  const T *bias; // (columns) or null
};

inline constexpr int gemm_strip = 4;

template <class T> int64_t gemm_packed_size(const Gemm<T> &g) {
  constexpr int64_t group = gemm_strip * lanes<T>;
  return std::min(g.depth, depth_block) * ((g.columns + group - 1) / group * group);
}
template <class T> int64_t gemm_scratch_bytes(const Gemm<T> &g) {
  const int64_t panel = g.a_transposed ? row_block * depth_block : 0;
  return (int64_t(sizeof(T)) * (gemm_packed_size(g) + panel + lanes<T> * gemm_strip * most_rows) + 127) / 64 * 64;
}

// Rows [begin, end) of c.
template <class T> void gemm(const Gemm<T> &g, int64_t begin, int64_t end, T *scratch) {
  constexpr int strip = gemm_strip;
  constexpr int64_t group = strip * lanes<T>, most = rows_for(strip);
  const int64_t strips = (g.columns + group - 1) / group;
  T *const packed = scratch, *const edge = packed + gemm_packed_size(g), *const panel = edge + most_rows * group;
  const T *row[most];
  if (g.depth == 0 || begin >= end) return;
  for (int64_t k = 0; k < g.depth; k += depth_block) {
    const int64_t depth = std::min(depth_block, g.depth - k);
    for (int64_t s = 0; s < strips; ++s) {
      const int64_t first = s * group, columns = std::min(group, g.columns - first);
      T *to = packed + s * depth * group;
      if (g.b_transposed) pack_columns(g.b + first * g.b_stride + k, g.b_stride, depth, columns, group, to, group);
      else pack_rows(g.b + k * g.b_stride + first, g.b_stride, depth, columns, group, to, group);
    }
    const bool add = g.add || k > 0;
    for (int64_t r0 = begin; r0 < end; r0 += row_block) {
      const int64_t rows = std::min(row_block, end - r0);
      const T *from = g.a + r0 * g.a_stride + k;
      int64_t from_stride = g.a_stride;
      if (g.a_transposed) {
        transpose(g.a + k * g.a_stride + r0, g.a_stride, depth, rows, panel, depth);
        from = panel;
        from_stride = depth;
      }
      const int64_t count = (rows + most - 1) / most;
      for (int64_t s = 0; s < strips; ++s) {
        const int64_t first = s * group, columns = std::min(group, g.columns - first);
        const T *weights = packed + s * depth * group;
        for (int64_t t = 0; t < count; ++t) {
          const int64_t from_row = rows * t / count, to_row = rows * (t + 1) / count, n = to_row - from_row;
          for (int64_t r = 0; r < n; ++r) row[r] = from + (from_row + r) * from_stride;
          T *out = g.c + (r0 + from_row) * g.c_stride + first;
          if (columns == group) {
            const T *start = add ? out : g.bias ? g.bias + first : nullptr;
            tiles<T>.of[strip][n](row, depth, weights, out, g.c_stride, start, add ? g.c_stride : 0);
            continue;
          }
          tiles<T>.of[strip][n](row, depth, weights, edge, group, nullptr, 0);
          for (int64_t r = 0; r < n; ++r)
            for (int64_t u = 0; u < columns; ++u) {
              const T before = add ? out[r * g.c_stride + u] : g.bias ? g.bias[first + u] : T(0);
              out[r * g.c_stride + u] = before + edge[r * group + u];
            }
        }
      }
    }
  }
}

} // namespace gatewise
