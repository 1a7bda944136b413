// Products of whole matrices, with the register tile of the time loop.
#pragma once

#include "pack.h"
#include "tile.h"

namespace gatewise {

inline constexpr int64_t depth_block = 512; // a strip of weights this deep stays in the second cache level

// c (rows, columns) = a (rows, depth) · b, or + when add. b is (depth, columns), or its transpose (columns, depth).
// With a_transposed, a is given as (depth, rows). With `paired` both factors are rounded to pairs of bfloat16.
template <class T> struct Gemm {
  const T *a, *b;
  T *c;
  int64_t rows, columns, depth, a_stride, b_stride, c_stride;
  int64_t a_transposed, b_transposed, add;
  const T *bias;   // (columns) or null
  const T *packed; // b as `pack_whole` leaves it, or null
  bool paired;

  int64_t tile_depth(int64_t numbers) const { return paired ? bfloat16::pairs(numbers) : numbers; }
};

// A part of c: rows, and strips of columns.
struct Part {
  int64_t first_row, last_row, first_strip, last_strip;
};

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
  return g.packed ? 0 : g.tile_depth(std::min(g.depth, depth_block)) * strips_of(g) * gemm_group<T>;
}
template <class T> int64_t whole_packed_size(const Gemm<T> &g) {
  return g.tile_depth(g.depth) * strips_of(g) * gemm_group<T>;
}
// Elements of scratch for one participant.
template <class T> int64_t gemm_scratch(const Gemm<T> &g) {
  const int64_t panel = g.a_transposed || g.paired ? panel_rows * g.tile_depth(depth_block) : 0;
  return (gemm_packed_size(g) + panel + gemm_group<T> * most_rows + lanes<T> - 1) / lanes<T> * lanes<T>;
}

// A strip of b, from row k on.
template <class T> void pack_strip(const Gemm<T> &g, int64_t k, int64_t strip, T *to) {
  const int64_t depth = std::min(depth_block, g.depth - k), first = strip * gemm_group<T>;
  const int64_t columns = std::min(gemm_group<T>, g.columns - first);
  const T *const from = g.b_transposed ? g.b + first * g.b_stride + k : g.b + k * g.b_stride + first;
  pack_matrix(g.b_transposed, g.paired, from, g.b_stride, depth, columns, gemm_group<T>, to, gemm_group<T>);
}
// All of b, for any product with it.
template <class T> void pack_whole(const Gemm<T> &g, T *to) {
  for (int64_t k = 0; k < g.depth; k += depth_block)
    for (int64_t s = 0; s < strips_of(g); ++s, to += g.tile_depth(std::min(depth_block, g.depth - k)) * gemm_group<T>)
      pack_strip(g, k, s, to);
}

// Rows [first, first + rows) of a, from k on: interleaved, [depth][panel_rows], where it is transposed; else in pairs,
// row by row.
template <class T> void fill_panel(const Gemm<T> &g, int64_t k, int64_t depth, int64_t first, int64_t rows, T *panel) {
  if constexpr (bfloat16::available<T>)
    if (g.paired) {
      if (g.a_transposed)
        return pack_row_pairs(g.a + k * g.a_stride + first, g.a_stride, depth, rows, rows, panel, panel_rows);
      for (int64_t r = 0; r < rows; ++r)
        bfloat16::pair_neighbours(g.a + (first + r) * g.a_stride + k, depth, panel + r * g.tile_depth(depth_block));
      return;
    }
  for (int64_t d = 0; d < depth; ++d) std::copy_n(g.a + (k + d) * g.a_stride + first, rows, panel + d * panel_rows);
}

template <class T> void gemm(const Gemm<T> &g, const Part &part, T *scratch) {
  constexpr int strip = gemm_strip;
  constexpr int64_t group = gemm_group<T>, most = rows_for(strip);
  T *const packed = scratch, *const edge = packed + gemm_packed_size(g), *const panel = edge + most_rows * group;
  const bool in_panel = g.a_transposed || g.paired;
  if (g.depth == 0 || part.first_row >= part.last_row) return;
  for (int64_t k = 0; k < g.depth; k += depth_block) {
    const int64_t numbers = std::min(depth_block, g.depth - k), depth = g.tile_depth(numbers);
    const T *const strips = g.packed ? g.packed + g.tile_depth(k) * strips_of(g) * group : packed;
    for (int64_t s = part.first_strip; s < part.last_strip && !g.packed; ++s)
      pack_strip(g, k, s, packed + s * depth * group);
    const bool add = g.add || k > 0;
    for (int64_t r0 = part.first_row; r0 < part.last_row; r0 += panel_rows) {
      const int64_t rows = std::min<int64_t>(panel_rows, part.last_row - r0), count = (rows + most - 1) / most;
      if (in_panel) fill_panel(g, k, numbers, r0, rows, panel);
      for (int64_t s = part.first_strip; s < part.last_strip; ++s) {
        const int64_t first = s * group, columns = std::min(group, g.columns - first);
        const T *weights = strips + s * depth * group;
        for (int64_t t = 0; t < count; ++t) {
          const int64_t from_row = rows * t / count, to_row = rows * (t + 1) / count, n = to_row - from_row;
          const T *row[most];
          if (g.a_transposed) row[0] = panel + from_row;
          for (int64_t r = 0; r < n && !g.a_transposed; ++r)
            row[r] = in_panel ? panel + (from_row + r) * g.tile_depth(depth_block)
                              : g.a + (r0 + from_row + r) * g.a_stride + k;
          const Tile<T> multiply =
              !inference && g.a_transposed ? tile_of<T, true>(g.paired, strip, n) : tile_of<T>(g.paired, strip, n);
          T *out = g.c + (r0 + from_row) * g.c_stride + first;
          if (columns == group) {
            const T *start = add ? out : g.bias ? g.bias + first : nullptr;
            multiply(row, depth, weights, out, g.c_stride, start, add ? g.c_stride : 0);
            continue;
          }
          multiply(row, depth, weights, edge, group, nullptr, 0);
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
