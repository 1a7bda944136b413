// Matrices laid out for the tile: strips of `group` columns, [strip][depth][group], zero beyond the last column.
#pragma once

#include "bfloat16.h"
#include "heads.h"

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

// The same in pairs, [strip][pair of the depth][group].
inline void pack_row_pairs(const float *from, int64_t from_stride, int64_t depth, int64_t columns, int64_t group,
                           float *to, int64_t to_stride) {
  for (int64_t k = 0; k < depth; k += 2, to += to_stride) {
    const float *const first = from + k * from_stride;
    bfloat16::pair_rows(first, k + 1 < depth ? first + from_stride : nullptr, columns, to);
    std::fill(to + columns, to + group, 0.0f);
  }
}
inline void pack_column_pairs(const float *from, int64_t from_stride, int64_t depth, int64_t columns, int64_t group,
                              float *to, int64_t to_stride) {
  constexpr int64_t side = lanes<float>, width = 64;
  float paired[side * width];
  for (int64_t c = 0; c < columns; c += side)
    for (int64_t k = 0; k < depth; k += 2 * width) {
      const int64_t count = std::min(side, columns - c), some = std::min(2 * width, depth - k);
      for (int64_t i = 0; i < count; ++i)
        bfloat16::pair_neighbours(from + (c + i) * from_stride + k, some, paired + i * width);
      transpose(paired, width, count, bfloat16::pairs(some), to + k / 2 * to_stride + c, to_stride);
    }
  for (int64_t k = 0; columns < group && k < bfloat16::pairs(depth); ++k)
    std::fill(to + k * to_stride + columns, to + k * to_stride + group, 0.0f);
}

// Columns of a strip, out of rows of a matrix or of its transpose, as numbers or in pairs.
template <class T>
void pack_matrix(bool transposed, bool paired, const T *from, int64_t from_stride, int64_t depth, int64_t columns,
                 int64_t group, T *to, int64_t to_stride) {
  if constexpr (bfloat16::available<T>)
    if (paired)
      return (transposed ? pack_column_pairs : pack_row_pairs)(from, from_stride, depth, columns, group, to, to_stride);
  (transposed ? pack_columns<T> : pack_rows<T>)(from, from_stride, depth, columns, group, to, to_stride);
}

// Blocks (units, depth), or when transposed (depth, units), by strips of `group` units. The strips are shared out among
// `slices` threads. Of matrices divided into heads, `depth` is the widest band of a strip.
template <class T> struct Packing {
  const T *const *blocks;
  int64_t count, units, depth, group, transposed;
  bool paired;
  int64_t head; // units of a head; 0: the matrices are whole
  T *packed;
  int64_t slices;

  void run(int64_t begin, int64_t end) {
    const int64_t strips = (units + group - 1) / group;
    for (int64_t s = strips * begin / slices; s < strips * end / slices; ++s) strip(s);
  }

private:
  void strip(int64_t s) const {
    const int64_t first = s * group, inside = std::min(group, units - first);
    const int64_t deep = paired ? bfloat16::pairs(depth) : depth;
    T *const to = packed + s * deep * count * group;
    if (head) return heads_of_strip({head, units, group, paired ? 2 : 1}, s, deep, to);
    for (int64_t o = 0; o < count; ++o)
      if (!inference && transposed)
        pack_matrix(false, paired, blocks[o] + first, units, depth, inside, group, to + o * deep * group, group);
      else
        pack_matrix(true, paired, blocks[o] + first * depth, depth, depth, inside, group, to + o * group,
                    count * group);
  }
  void heads_of_strip(const Bands &bands, int64_t s, int64_t deep, T *to) const {
    std::fill_n(to, deep * count * group, T(0));
    const int64_t begin = bands.of(s).first;
    // In the memory of a column there are all outputs of one depth; transposed, all of the depth of one block.
    const int64_t stride = transposed ? group : count * group, block = transposed ? deep * group : group;
    bands.each_head(s, [&](int64_t first, int64_t last) {
      const int64_t unit = first / head * head, row = unit - begin, column = first - s * group, some = last - first;
      for (int64_t o = 0; o < count; ++o) {
        T *const strip = to + o * block + column;
        const T *const from = blocks[o] + (transposed ? unit * head + first - unit : first * head);
        if (paired) add_pairs_of_head(from, row, some, strip, stride);
        else if (!inference && transposed) pack_rows(from, head, head, some, some, strip + row * stride, stride);
        else pack_columns(from, head, head, some, some, strip + row * stride, stride);
      }
    });
  }
  // Into zeros, or into pairs that have factors of another head; from a row of the band on.
  void add_pairs_of_head(const T *from, int64_t row, int64_t columns, T *to, int64_t stride) const {
    if constexpr (bfloat16::available<T>)
      for (int64_t k = 0; k < head; ++k)
        for (int64_t c = 0; c < columns; ++c) {
          const T value = transposed ? from[k * head + c] : from[c * head + k];
          T &both = to[(row + k) / 2 * stride + c];
          const T own = (row + k) % 2 ? bfloat16::pair(0.0f, value) : bfloat16::pair(value, 0.0f);
          both = std::bit_cast<float>(std::bit_cast<uint32_t>(both) | std::bit_cast<uint32_t>(own));
        }
  }
};

} // namespace gatewise
