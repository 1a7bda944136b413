// The register tile: a few rows times a strip of packed weights, accumulated over the whole depth in registers.
#pragma once

#include "bfloat16.h"

#include <cstddef>
#include <utility>

namespace gatewise {

inline constexpr int widest_strip = 8; // registers of weights per row
inline constexpr int gemm_strip = 4;   // of products of whole matrices
inline constexpr int panel_rows = 96;
inline constexpr int short_sum = 128; // terms in turn; a longer sum is a sum of these, and rounds less

// As many rows as leave the accumulators, a strip of weights and a broadcast value in 32 registers (16 without
// AVX-512).
constexpr int rows_for(int strip) {
  constexpr int registers = GATEWISE_VECTOR_BYTES == 64 ? 32 : 16;
  const int rows = (registers - strip - 1) / strip;
  return rows < 1 ? 1 : rows > most_rows ? most_rows : rows;
}

// How a tile multiplies: sum + weights · value.
template <class T> struct Numbers {
  static Vec<T> add(Vec<T> sum, Vec<T> weights, T value) { return sum + weights * value; }
};

// Few rows use weights faster than a far cache gives them: `bytes` of those that are read soon. (8 MB a step: from 115
// to 125 GB/s; with 2 MB, from 115 to 130.)
template <int64_t bytes> inline void fetch_ahead(const void *weights) {
  constexpr int64_t line = 64, distance = 24 * line;
#pragma GCC unroll 8
  for (int64_t k = 0; k < bytes; k += line) __builtin_prefetch(static_cast<const std::byte *>(weights) + distance + k);
}

// start + rows[r] (depth) times packed (depth, strip · lanes) into out; rows of both are a stride apart, and start may
// be out itself, one row for all (stride 0), or null for zero. It is added last. In a
// panel the rows are interleaved, [depth][panel_rows], from rows[0] on.
template <class T>
using Tile = void (*)(const T *const *rows, int64_t depth, const T *packed, T *out, int64_t stride, const T *start,
                      int64_t start_stride);

template <class T, class Product, int strip, int count, bool panel>
void tile(const T *const *rows, int64_t depth, const T *packed, T *out, int64_t stride, const T *start,
          int64_t start_stride) {
  constexpr int width = strip * lanes<T>;
  // With one or two rows a single chain of additions per register would wait for itself; two chains take turns.
  constexpr int chains = strip * count <= 6 ? 2 : 1;
  constexpr int step = panel ? panel_rows : 1;
  const T *row[count];
#pragma GCC unroll 16
  for (int r = 0; r < count; ++r) row[r] = panel ? rows[0] + r : rows[r];
  int64_t k = 0;
  do {
    const int64_t end = depth - k > short_sum ? k + short_sum : depth;
    Vec<T> sum[chains][count][strip] = {};
    for (; k + chains <= end; k += chains) {
#pragma GCC unroll 2
      for (int chain = 0; chain < chains; ++chain) {
        Vec<T> weights[strip];
#pragma GCC unroll 16
        for (int n = 0; n < strip; ++n) weights[n] = load<true>(packed + n * lanes<T>, 0);
        if constexpr (count <= 2) fetch_ahead<width * sizeof(T)>(packed);
        packed += width;
#pragma GCC unroll 16
        for (int r = 0; r < count; ++r) {
          const T value = row[r][(k + chain) * step];
#pragma GCC unroll 16
          for (int n = 0; n < strip; ++n) sum[chain][r][n] = Product::add(sum[chain][r][n], weights[n], value);
        }
      }
    }
    if constexpr (chains == 2) {
      if (k < end) { // an odd one: short sums are even, so it is the last
#pragma GCC unroll 16
        for (int r = 0; r < count; ++r)
#pragma GCC unroll 16
          for (int n = 0; n < strip; ++n)
            sum[0][r][n] = Product::add(sum[0][r][n], load<true>(packed + n * lanes<T>, 0), row[r][k * step]);
        ++k;
      }
#pragma GCC unroll 16
      for (int r = 0; r < count; ++r)
#pragma GCC unroll 16
        for (int n = 0; n < strip; ++n) sum[0][r][n] += sum[1][r][n];
    }
#pragma GCC unroll 16
    for (int r = 0; r < count; ++r)
#pragma GCC unroll 16
      for (int n = 0; n < strip; ++n) {
        const Vec<T> before = start ? load<true>(start + r * start_stride + n * lanes<T>, 0) : Vec<T>{};
        store<true>(out + r * stride + n * lanes<T>, sum[0][r][n] + before, 0);
      }
    start = out;
    start_stride = stride;
  } while (k < depth);
}

// The tiles for strips of the widths [first, last], by width and number of rows.
template <class T, class Product, bool panel, int first, int last> struct Tiles {
  Tile<T> of[widest_strip + 1][most_rows + 1] = {};
  template <int strip, int... counts> constexpr void fill(std::integer_sequence<int, counts...>) {
    ((of[strip][counts + 1] = tile<T, Product, strip, counts + 1, panel>), ...);
  }
  template <int... strips> constexpr void fill_all(std::integer_sequence<int, strips...>) {
    (fill<first + strips>(std::make_integer_sequence<int, rows_for(first + strips)>{}), ...);
  }
  constexpr Tiles() { fill_all(std::make_integer_sequence<int, last - first + 1>{}); }
};
template <class T, class Product> inline constexpr Tiles<T, Product, false, 1, widest_strip> tiles{};
template <class T, class Product> inline constexpr Tiles<T, Product, true, gemm_strip, gemm_strip> panel_tiles{};

// The tile for a strip and a number of rows, of numbers or of pairs; where it reads panels, the strip is `gemm_strip`.
template <class T, bool panel = false> Tile<T> tile_of(bool paired, int64_t strip, int64_t rows) {
  const auto of = [&](auto product) {
    using Product = decltype(product);
    if constexpr (panel) return panel_tiles<T, Product>.of[strip][rows];
    else return tiles<T, Product>.of[strip][rows];
  };
  if constexpr (bfloat16::available<T>) {
    static const bool has_instruction = bfloat16::has_instruction();
    if (paired) return has_instruction ? of(bfloat16::Instruction{}) : of(bfloat16::Widened{});
  }
  return of(Numbers<T>{});
}

} // namespace gatewise
