// Products of bfloat16: factors are rounded to its 8 bits, sums are of float.
//
// Two factors that follow each other in the depth of a product are a pair, in the memory of one float: the first of
// them in its lower half. A product adds that of the second factors, then that of the first ones, each with one
// rounding: so does the instruction of processors that have it, and the others give the same bits. Denormal numbers
// are zeros before and after, and of two equally near numbers the even one is taken, whatever the processor's modes.
#pragma once

#include "cell.h"
#include "vec.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#if defined(__FMA__)
#include <immintrin.h>
#endif

namespace gatewise::bfloat16 {

// Exported models have products of floats alone.
template <class T> inline constexpr bool available = !inference && sizeof(T) == sizeof(float);

// Pairs of a depth; the second factor of the last one may be 0.
constexpr int64_t pairs(int64_t depth) { return (depth + 1) / 2; }

using Words [[gnu::vector_size(GATEWISE_VECTOR_BYTES)]] = uint32_t;
inline constexpr uint32_t upper = 0xffff0000;

// Rounded, in the upper halves; the lower ones are anything.
inline Words nearest(Vec<float> value) {
  const Words all = (Words)value, size = all & 0x7fffffff, number = all + 0x7fff + (all >> 16 & 1);
  const Words of_small = size < 0x00800000 ? all & 0x80000000 : number;
  return size > 0x7f800000 ? all | 0x00400000 : of_small; // NaN stays NaN
}
inline uint32_t nearest(float value) { return nearest(broadcast(value))[0]; }
inline Vec<float> pair(Vec<float> first, Vec<float> second) {
  return (Vec<float>)((nearest(second) & upper) | nearest(first) >> 16);
}
inline float pair(float first, float second) {
  return std::bit_cast<float>((nearest(second) & upper) | nearest(first) >> 16);
}

// Pairs out of `depth` numbers that follow each other.
inline void pair_neighbours(const float *from, int64_t depth, float *to) {
  int64_t k = 0;
  for (; k + lanes<float> <= depth; k += lanes<float>) {
    typedef uint16_t Halves [[gnu::vector_size(GATEWISE_VECTOR_BYTES / 2)]];
    const Halves all = __builtin_convertvector(nearest(load<true>(from + k, 0)) >> 16, Halves);
    std::memcpy(to + k / 2, &all, sizeof all);
  }
  for (; k < depth; k += 2) to[k / 2] = pair(from[k], k + 1 < depth ? from[k + 1] : 0);
}
// Pairs out of two rows; `second` may be null, for zeros.
inline void pair_rows(const float *first, const float *second, int64_t count, float *to) {
  int64_t u = 0;
  for (; u + lanes<float> <= count; u += lanes<float>)
    store<true>(to + u, pair(load<true>(first + u, 0), second ? load<true>(second + u, 0) : Vec<float>{}), 0);
  for (; u < count; ++u) to[u] = pair(first[u], second ? second[u] : 0);
}

// sum + a · b, with one rounding where there is an instruction for it, however little is optimised.
inline Vec<float> add_product(Vec<float> sum, Vec<float> a, float b) {
#if defined(__AVX512F__) && GATEWISE_VECTOR_BYTES == 64
  return (Vec<float>)_mm512_fmadd_ps((__m512)a, _mm512_set1_ps(b), (__m512)sum);
#elif defined(__FMA__) && GATEWISE_VECTOR_BYTES == 32
  return (Vec<float>)_mm256_fmadd_ps((__m256)a, _mm256_set1_ps(b), (__m256)sum);
#else
  return sum + a * b;
#endif
}

// sum + the products of the pairs of a register with one pair, for the tile.
struct Widened {
  static Vec<float> add(Vec<float> sum, Vec<float> weights, float value) {
    const auto half = [](uint32_t bits) { return std::bit_cast<float>(bits); };
    const Words all = (Words)weights;
    const uint32_t both = std::bit_cast<uint32_t>(value);
    sum = add_product(sum, (Vec<float>)(all & upper), half(both & upper));
    return add_product(sum, (Vec<float>)(all << 16), half(both << 16));
  }
};
#if defined(__AVX512BW__) && GATEWISE_VECTOR_BYTES == 64
// Not every processor of the instruction set has this instruction, so the compiler may not know of it.
struct Instruction {
  static Vec<float> add(Vec<float> sum, Vec<float> weights, float value) {
    const __m512i all = _mm512_set1_epi32(std::bit_cast<int32_t>(value));
    asm("vdpbf16ps %2, %1, %0" : "+v"(sum) : "v"(weights), "v"(all));
    return sum;
  }
};
inline bool has_instruction() { return __builtin_cpu_supports("avx512bf16"); }
#else
using Instruction = Widened;
inline bool has_instruction() { return false; }
#endif

// The rows of several operands as pairs, `rows` of each.
class Operands {
public:
  Operands() = default;
  // `width`: the pairs of the widest.
  Operands(float *memory, int64_t rows, int64_t width) : values(memory), rows(rows), width(width) {}
  static int64_t size(int64_t count, int64_t rows, int64_t width) { return count * rows * width; } // floats

  // `blocks` of `depth` numbers, one after the other.
  void fill(int64_t operand, int64_t row, const float *from, int64_t blocks, int64_t depth) const {
    for (int64_t b = 0; b < blocks; ++b) pair_neighbours(from + b * depth, depth, at(operand, row) + b * pairs(depth));
  }
  float *at(int64_t operand, int64_t row) const { return values + (operand * rows + row) * width; }

private:
  float *values = nullptr;
  int64_t rows = 0, width = 0;
};

} // namespace gatewise::bfloat16
