// Products of 8-bit integers: a few rows, quantised when they are read, times a strip of packed weights.
//
// A weight of column n is near q · scale[n], q from −127 to 127; a value of a row is near (u − 128) · scale, u from 1
// to 255, since the processor multiplies unsigned bytes by signed ones. The sums are exact integers, on every
// instruction set, so the only roundings are those to bytes and the last one to float.
#pragma once

#include "cell.h"
#include "heads.h"
#include "tile.h"
#include "vec.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace gatewise::bytes {

inline constexpr int64_t quad = 4; // bytes of a row that a lane multiplies at once
inline constexpr int zero = 128;   // what a row's 0 is stored as

constexpr int64_t quads(int64_t depth) { return (depth + quad - 1) / quad; }

// An exported model has products of bytes alone, or none.
inline constexpr bool always = inference && inference_precision == 8, available = !inference || always;

using Ints = Mask<float>;

// The scale of values whose largest magnitude is `largest`, and its inverse. Values that no float scales are zeros.
struct Scale {
  float value, inverse;
  explicit Scale(float largest) : value(largest / 127), inverse(127 / largest) {
    if (largest == 0 || inverse > std::numeric_limits<float>::max()) value = inverse = 0;
  }
};
// The largest lane.
template <int distance, int... lane> inline Ints larger_of_pairs(Ints all, std::integer_sequence<int, lane...>) {
  const Ints moved = __builtin_shufflevector(all, all, (lane ^ distance)...);
  return moved > all ? moved : all;
}
template <int distance = lanes<float> / 2> inline int32_t largest_lane(Ints all) {
  if constexpr (distance == 0) return all[0];
  else
    return largest_lane<distance / 2>(larger_of_pairs<distance>(all, std::make_integer_sequence<int, lanes<float>>{}));
}
// The largest magnitude; NaN if one is NaN or infinite. Without their signs floats are ordered as their bits are, and
// what is not finite is above all others.
inline float largest_of(const float *values, int64_t count) {
  const Ints magnitude = ~bits<float>(broadcast<float>(-0.0f)), infinity = bits<float>(broadcast<float>(INFINITY));
  Ints most{};
  int64_t k = 0;
  const auto look = [&](Vec<float> some) {
    const Ints size = bits<float>(some) & magnitude;
    most = size > most ? size : most;
  };
  for (; k + lanes<float> <= count; k += lanes<float>) look(load<true>(values + k, 0));
  if (k < count) look(load<false>(values + k, int(count - k)));
  const int32_t largest = largest_lane(most);
  float value;
  std::memcpy(&value, &largest, sizeof value);
  return largest < infinity[0] ? value : std::numeric_limits<float>::quiet_NaN();
}
// To the nearest integer, of two equally near the even one.
inline Ints nearest(Vec<float> value) {
  return bits<float>(value + broadcast<float>(12582912)) - bits<float>(broadcast<float>(12582912)); // 1.5 · 2²³
}
inline int nearest(float value) { return nearest(broadcast(value))[0]; }

// One row of `depth` values to bytes, up to whole quads; returns its scale, NaN where a value is not finite.
inline float quantise(const float *from, int64_t depth, uint8_t *to) {
  const float largest = largest_of(from, depth);
  const Scale scale(largest);
  if (largest != largest) {
    std::fill_n(to, quads(depth) * quad, uint8_t(zero));
    return largest;
  }
  int64_t k = 0;
  for (; k + lanes<float> <= depth; k += lanes<float>) {
    const Ints all = nearest(load<true>(from + k, 0) * scale.inverse) + zero;
    typedef uint8_t Bytes [[gnu::vector_size(lanes<float>)]];
    const Bytes narrow = __builtin_convertvector(all, Bytes);
    std::memcpy(to + k, &narrow, sizeof narrow);
  }
  for (; k < depth; ++k) to[k] = uint8_t(nearest(from[k] * scale.inverse) + zero);
  std::fill(to + depth, to + quads(depth) * quad, uint8_t(zero));
  return scale.value;
}

// Adds four products of bytes to each lane.
struct WidenedPairs {
  static Ints add(Ints sum, Ints weights, int32_t row) {
#if defined(__AVX512BW__) && GATEWISE_VECTOR_BYTES == 64
    const __m512i w = (__m512i)weights, x = _mm512_set1_epi32(row), low = _mm512_set1_epi16(255);
    const __m512i even = _mm512_madd_epi16(_mm512_srai_epi16(_mm512_slli_epi16(w, 8), 8), _mm512_and_si512(x, low));
    const __m512i odd = _mm512_madd_epi16(_mm512_srai_epi16(w, 8), _mm512_srli_epi16(x, 8));
    return sum + (Ints)even + (Ints)odd;
#elif defined(__AVX2__) && GATEWISE_VECTOR_BYTES == 32
    const __m256i w = (__m256i)weights, x = _mm256_set1_epi32(row), low = _mm256_set1_epi16(255);
    const __m256i even = _mm256_madd_epi16(_mm256_srai_epi16(_mm256_slli_epi16(w, 8), 8), _mm256_and_si256(x, low));
    const __m256i odd = _mm256_madd_epi16(_mm256_srai_epi16(w, 8), _mm256_srli_epi16(x, 8));
    return sum + (Ints)even + (Ints)odd;
#else
    for (int byte = 0; byte < quad; ++byte)
      sum += (weights << (24 - 8 * byte) >> 24) * int32_t(uint32_t(row) >> (8 * byte) & 255);
    return sum;
#endif
  }
};
#if defined(__AVX512BW__) && GATEWISE_VECTOR_BYTES == 64
// Not every processor of the instruction set has this instruction, so the compiler may not know of it.
struct Instruction {
  static Ints add(Ints sum, Ints weights, int32_t row) {
    const __m512i x = _mm512_set1_epi32(row);
    asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(x), "v"(weights));
    return sum;
  }
};
inline bool has_instruction() { return __builtin_cpu_supports("avx512vnni"); }
#else
using Instruction = WidenedPairs;
inline bool has_instruction() { return false; }
#endif

// A value that is rounded before it is added to anything. The compiler contracts a · b + c into one rounding or not,
// row by row as it unrolls a loop; here every row has the same bits, whatever rows are beside it.
inline Vec<float> rounded(Vec<float> value) {
#if defined(__AVX512F__)
  asm("" : "+v"(value));
#elif defined(__x86_64__)
  asm("" : "+x"(value));
#elif defined(__aarch64__)
  asm("" : "+w"(value));
#else
  asm("" : "+m"(value));
#endif
  return value;
}

// The weights of a strip, [quad of the depth][column][4]; of each column its scale, and 128 times the sum of its
// weights.
struct Strip {
  const int8_t *weights;
  const float *scale;
  const int32_t *excess;
};

// start + rows (depth) times a strip of `strip` registers of columns into out, as `Tile` does.
using Tile = void (*)(const uint8_t *const *rows, const float *row_scale, int64_t quads, const Strip &packed,
                      float *out, int64_t stride, const float *start, int64_t start_stride);

template <class Dot, int strip, int count>
void tile(const uint8_t *const *rows, const float *row_scale, int64_t quads, const Strip &packed, float *out,
          int64_t stride, const float *start, int64_t start_stride) {
  constexpr int n = lanes<float>;
  Ints sum[count][strip] = {};
  const int8_t *weights = packed.weights;
  for (int64_t k = 0; k < quads; ++k, weights += strip * sizeof(Ints)) {
    Ints some[strip];
#pragma GCC unroll 16
    for (int j = 0; j < strip; ++j) std::memcpy(&some[j], weights + j * sizeof(Ints), sizeof(Ints));
#pragma GCC unroll 16
    for (int r = 0; r < count; ++r) {
      int32_t row;
      std::memcpy(&row, rows[r] + k * quad, sizeof row);
#pragma GCC unroll 16
      for (int j = 0; j < strip; ++j) sum[r][j] = Dot::add(sum[r][j], some[j], row);
    }
  }
#pragma GCC unroll 16
  for (int j = 0; j < strip; ++j) {
    Ints excess;
    std::memcpy(&excess, packed.excess + j * n, sizeof excess);
    const Vec<float> scale = load<true>(packed.scale + j * n, 0);
#pragma GCC unroll 16
    for (int r = 0; r < count; ++r) {
      const Vec<float> exact = __builtin_convertvector(sum[r][j] - excess, Vec<float>);
      const Vec<float> product = rounded(exact * (scale * row_scale[r]));
      const Vec<float> before = start ? load<true>(start + r * start_stride + j * n, 0) : Vec<float>{};
      store<true>(out + r * stride + j * n, product + before, 0);
    }
  }
}

template <class Dot> struct Tiles {
  Tile of[widest_strip + 1][most_rows + 1] = {};
  template <int strip, int... counts> constexpr void fill(std::integer_sequence<int, counts...>) {
    ((of[strip][counts + 1] = tile<Dot, strip, counts + 1>), ...);
  }
  template <int... strips> constexpr void fill_all(std::integer_sequence<int, strips...>) {
    (fill<strips + 1>(std::make_integer_sequence<int, rows_for(strips + 1)>{}), ...);
  }
  constexpr Tiles() { fill_all(std::make_integer_sequence<int, widest_strip>{}); }
};
inline const Tiles<Instruction> &fast_tiles() {
  static constexpr Tiles<Instruction> all{};
  return all;
}
inline const Tiles<WidenedPairs> &portable_tiles() {
  static constexpr Tiles<WidenedPairs> all{};
  return all;
}
// The tile of this processor for a strip and a number of rows.
inline Tile tile_of(int64_t strip, int64_t rows) {
  if constexpr (available) {
    static const bool fast = has_instruction();
    return fast ? fast_tiles().of[strip][rows] : portable_tiles().of[strip][rows];
  } else return nullptr;
}

// The rows of several operands as bytes, `rows` of each.
class Operands {
public:
  Operands() = default;
  // `depth`: the largest.
  Operands(std::byte *memory, int64_t count, int64_t rows, int64_t depth)
      : scales(reinterpret_cast<float *>(memory)), values(reinterpret_cast<uint8_t *>(scales + count * rows)),
        rows(rows), stride(quads(depth) * quad) {}
  static int64_t size(int64_t count, int64_t rows, int64_t depth) {
    return count * rows * (quads(depth) * quad + int64_t(sizeof(float)));
  }
  void fill(int64_t operand, int64_t row, const float *from, int64_t depth) const {
    scales[operand * rows + row] = quantise(from, depth, values + (operand * rows + row) * stride);
  }
  // The rows [first, first + count) of an operand, from a value on (a multiple of a quad), times a strip.
  void multiply(int64_t operand, int64_t first, int64_t count, Band band, int64_t registers, const Strip &strip,
                float *out, int64_t width, const float *start, int64_t start_stride) const {
    const uint8_t *row[most_rows];
    for (int64_t r = 0; r < count; ++r) row[r] = values + (operand * rows + first + r) * stride + band.first;
    tile_of(registers, count)(row, scales + operand * rows + first, quads(band.depth), strip, out, width, start,
                              start_stride);
  }

private:
  float *scales = nullptr;
  uint8_t *values = nullptr;
  int64_t rows = 0, stride = 0;
};

// A row of weights: floats, still to be rounded; integers that are rounded, with their scale; or neither, zeros.
struct Row {
  const float *floats = nullptr;
  const int8_t *integers = nullptr;
  float scale = 0;
};

// Where the packed blocks of a product are stored: all of its weights, strip by strip, then scales and excesses.
class Packed {
public:
  Packed(std::byte *memory, int64_t strips, int64_t depth, int64_t columns)
      : memory(memory), strips(strips), rows(quads(depth)), columns(columns) {}
  static int64_t size(int64_t strips, int64_t depth, int64_t columns) {
    return strips * columns * (quads(depth) * quad + int64_t(sizeof(float) + sizeof(int32_t)));
  }
  Strip strip(int64_t s) const { return {weights(s), scale() + s * columns, excess() + s * columns}; }

  // Column `column` of strip s: a row of `depth` weights, after `before` zeros; zeros are those of a column beyond the
  // last.
  void set(int64_t s, int64_t column, const Row &from, int64_t depth, int64_t before = 0) const {
    const Scale own(from.floats ? largest_of(from.floats, depth) : 0);
    const bool rounds = from.floats && own.value == own.value;
    int8_t *const to = weights(s) + column * quad;
    int32_t sum = 0;
    for (int64_t k = 0; k < rows * quad; ++k) {
      const int64_t at = k - before;
      const int value = at < 0 || at >= depth ? 0
                        : from.integers       ? from.integers[at]
                        : rounds              ? nearest(from.floats[at] * own.inverse)
                                              : 0;
      to[k / quad * columns * quad + k % quad] = int8_t(value);
      sum += value;
    }
    scale()[s * columns + column] = from.integers ? from.scale : own.value;
    excess()[s * columns + column] = zero * sum;
  }

private:
  std::byte *memory;
  int64_t strips, rows, columns; // columns of a strip
  int8_t *weights(int64_t s) const { return reinterpret_cast<int8_t *>(memory) + s * rows * columns * quad; }
  float *scale() const { return reinterpret_cast<float *>(memory + strips * rows * columns * quad); }
  int32_t *excess() const { return reinterpret_cast<int32_t *>(scale() + strips * columns); }
};

} // namespace gatewise::bytes
