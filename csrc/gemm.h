// Products of whole matrices, with the register tile of the time loop.
#pragma once

#include "pack.h"
#include "tile.h"

namespace gatewise {

inline constexpr int64_t depth_block = 512; // a strip of weights this deep stays in the second cache level

// c (rows, columns) = a (rows, depth) · b, or + when add. b is (depth, columns), or its transpose (columns, depth).
// With a_transposed, a is given as (depth, rows).
template <class T> struct Gemm {
  const T *a, *b;
  T *c;
  int64_t rows, columns, depth, a_stride, b_stride, c_stride;
  int64_t a_transposed, b_transposed, add;
  const T *bias;   // (columns) or null
  const T *packed; // b as `pack_whole` leaves it, or null
};

// A part of c: rows, and strips of columns.
struct Part {
  int64_t first_row, last_row, first_strip, last_strip;
};

inline constexpr int gemm_strip = 4;
template <class T> inline constexpr int64_t gemm_group = gemm_strip * lanes<T>;

template <class T> int64_t strips_of(const Gemm<T> &g) { return (g.columns + gemm_group<T> - 1) / gemm_group<T>; }

// Partitioned by columns, no thread packs what another does; by rows it is b, or of a only one's own.
template <class T> Part part_of(const Gemm<T> &g, int64_t begin, int64_t end, int64_t slices) {
  const int64_t strips = strips_of(g);
  if (!g.a_transposed && (strips % slices == 0 || strips >= 4 * slices))
    return {0, g.rows, strips * begin / slices, strips * end / slices};
  return {g.rows * begin / slices, g.rows * end / slices, 0, strips};
}

template <class T> int64_t gemm_packed_size(const Gemm<T> &g) {
  return g.packed ? 0 : std::min(g.depth, depth_block) * strips_of(g) * gemm_group<T>;
}
template <class T> int64_t whole_packed_size(const Gemm<T> &g) { return g.depth * strips_of(g) * gemm_group<T>; }
// Elements of scratch for one participant.
template <class T> int64_t gemm_scratch(const Gemm<T> &g) {
  const int64_t panel = g.a_transposed ? panel_rows * depth_block : 0;
  return (gemm_packed_size(g) + panel + gemm_group<T> * most_rows + lanes<T> - 1) / lanes<T> * lanes<T>;
}

// A strip of b, from row k on.
template <class T> void pack_strip(const Gemm<T> &g, int64_t k, int64_t strip, T *to) {
  const int64_t depth = std::min(depth_block, g.depth - k), first = strip * gemm_group<T>;
  const int64_t columns = std::min(gemm_group<T>, g.columns - first);
  if (g.b_transposed)
    pack_columns(g.b + first * g.b_stride + k, g.b_stride, depth, columns, gemm_group<T>, to, gemm_group<T>);
  else pack_rows(g.b + k * g.b_stride + first, g.b_stride, depth, columns, gemm_group<T>, to, gemm_group<T>);
}
// All of b, for any product with it.
template <class T> void pack_whole(const Gemm<T> &g, T *to) {
  for (int64_t k = 0; k < g.depth; k += depth_block)
    for (int64_t s = 0; s < strips_of(g); ++s, to += std::min(depth_block, g.depth - k) * gemm_group<T>)
      pack_strip(g, k, s, to);
}

template <class T> void gemm(const Gemm<T> &g, const Part &part, T *scratch) {
  constexpr int strip = gemm_strip;
  constexpr int64_t group = gemm_group<T>, most = rows_for(strip);
  T *const packed = scratch, *const edge = packed + gemm_packed_size(g), *const panel = edge + most_rows * group;
  const auto &tile_of = !inference && g.a_transposed ? panel_tiles<T>.of[strip] : tiles<T>.of[strip];
  if (g.depth == 0 || part.first_row >= part.last_row) return;
  for (int64_t k = 0; k < g.depth; k += depth_block) {
    const int64_t depth = std::min(depth_block, g.depth - k);
    const T *const strips = g.packed ? g.packed + k * strips_of(g) * group : packed;
    for (int64_t s = part.first_strip; s < part.last_strip && !g.packed; ++s)
      pack_strip(g, k, s, packed + s * depth * group);
    const bool add = g.add || k > 0;
    for (int64_t r0 = part.first_row; r0 < part.last_row; r0 += panel_rows) {
      const int64_t rows = std::min<int64_t>(panel_rows, part.last_row - r0), count = (rows + most - 1) / most;
      if (g.a_transposed)
        for (int64_t d = 0; d < depth; ++d) std::copy_n(g.a + (k + d) * g.a_stride + r0, rows, panel + d * panel_rows);
      for (int64_t s = part.first_strip; s < part.last_strip; ++s) {
        const int64_t first = s * group, columns = std::min(group, g.columns - first);
        const T *weights = strips + s * depth * group;
        for (int64_t t = 0; t < count; ++t) {
          const int64_t from_row = rows * t / count, to_row = rows * (t + 1) / count, n = to_row - from_row;
          const T *row[most];
          if (g.a_transposed) row[0] = panel + from_row;
          else
            for (int64_t r = 0; r < n; ++r) row[r] = g.a + (r0 + from_row + r) * g.a_stride + k;
          T *out = g.c + (r0 + from_row) * g.c_stride + first;
          if (columns == group) {
            const T *start = add ? out : g.bias ? g.bias + first : nullptr;
            tile_of[n](row, depth, weights, out, g.c_stride, start, add ? g.c_stride : 0);
            continue;
          }
          tile_of[n](row, depth, weights, edge, group, nullptr, 0);
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
