// Masks: random factors of units, from a generator that is a function of its counter, so that any thread, in either
// pass, computes the same ones: Philox4x32-10 (Salmon et al. 2011).
#pragma once

#include "vec.h"

#include <algorithm>
#include <cstdint>

namespace gatewise {

// What identifies a mask besides step, row and unit.
struct MaskKey {
  uint64_t seed;
  uint32_t stream; // layer and direction
  uint32_t name;
};

inline constexpr int64_t philox_lanes = 16, philox_words = 4, philox_units = philox_lanes * philox_words;

// Counters' words, one in the lower half of each lane; what is in the upper halves does not matter.
using Words = Vec<uint64_t>;

// The products of words with one of them, 64 bits each.
inline Words product(Words a, uint32_t b) {
#if GATEWISE_VECTOR_BYTES == 64 && defined(__AVX512F__)
  return (Words)_mm512_maskz_mul_epu32(0xFF, (__m512i)a, _mm512_set1_epi64(b));
#elif GATEWISE_VECTOR_BYTES == 32 && defined(__AVX2__)
  return (Words)_mm256_mul_epu32((__m256i)a, _mm256_set1_epi64x(b));
#elif defined(__SSE2__)
  return (Words)_mm_mul_epu32((__m128i)a, _mm_set1_epi64x(b));
#else
  return (a & 0xFFFFFFFF) * b;
#endif
}

// 16 counters that differ in the first word alone, (first + lane) | stream · 2^20: 4 words of each, word by word.
inline void philox(const MaskKey &key, uint32_t first, uint32_t step, uint32_t row, uint32_t *out) {
  constexpr int count = philox_lanes / lanes<uint64_t>;
  Words c[philox_words][count]{};
  for (int v = 0; v < count; ++v) {
    for (int lane = 0; lane < lanes<uint64_t>; ++lane)
      c[0][v][lane] = (first + uint32_t(v * lanes<uint64_t> + lane)) | key.stream << 20;
    c[1][v] = Words{} + step, c[2][v] = Words{} + row, c[3][v] = Words{} + key.name;
  }
  uint32_t k0 = uint32_t(key.seed), k1 = uint32_t(key.seed >> 32);
  for (int round = 0; round < 10; ++round, k0 += 0x9E3779B9u, k1 += 0xBB67AE85u)
#pragma GCC unroll 8
    for (int v = 0; v < count; ++v) {
      const Words a = product(c[0][v], 0xD2511F53u), b = product(c[2][v], 0xCD9E8D57u);
      c[0][v] = b >> 32 ^ c[1][v] ^ k0, c[1][v] = b;
      c[2][v] = a >> 32 ^ c[3][v] ^ k1, c[3][v] = a;
    }
  for (int word = 0; word < philox_words; ++word)
    for (int v = 0; v < count; ++v)
      for (int lane = 0; lane < lanes<uint64_t>; ++lane) *out++ = uint32_t(c[word][v][lane]);
}

// The units [first, last) of a row's mask: `kept` where the random word is at least the threshold, else 0. Unit u is
// word u / 16 mod 4 of the counter u / 64 · 16 + u mod 16.
template <class T>
void fill_mask(const MaskKey &key, uint32_t step, uint32_t row, uint64_t threshold, T kept, int64_t first, int64_t last,
               T *to) {
  if (threshold == 0) {
    std::fill(to + first, to + last, kept);
    return;
  }
  uint32_t words[philox_units];
  const uint32_t least = uint32_t(threshold - 1); // at most 2^32 − 1
  for (int64_t block = first / philox_units; block * philox_units < last; ++block) {
    philox(key, uint32_t(block * philox_lanes), step, row, words);
    const int64_t begin = std::max(first, block * philox_units), end = std::min(last, (block + 1) * philox_units);
    for (int64_t u = begin; u < end; ++u) to[u] = words[u - block * philox_units] > least ? kept : T(0);
  }
}

// A matrix times a mask, of which its rows and columns are the rows and units of one step. Partitioned among `slices`
// threads. Python writes its fields, of 8 bytes but the two numbers of the key.
template <class T> struct MaskedMatrix {
  MaskKey key;
  uint64_t threshold;
  double kept;
  int64_t step, rows, columns, slices;
  const T *from;
  T *to;
  void run(int64_t begin, int64_t end) {
    for (int64_t r = rows * begin / slices; r < rows * end / slices; ++r) {
      T *const row = to + r * columns;
      fill_mask(key, uint32_t(step), uint32_t(r), threshold, T(kept), 0, columns, row);
      for (int64_t c = 0; c < columns; ++c) row[c] *= from[r * columns + c];
    }
  }
};

} // namespace gatewise
