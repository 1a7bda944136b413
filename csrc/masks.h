// Masks: random factors of units, from a generator that is a function of its counter, so that any thread, in either
// pass, computes the same ones: Philox4x32-10 (Salmon et al. 2011).
#pragma once

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

// 16 counters that differ in the first word alone, (first + lane) | stream · 2^20: 4 words of each, word by word.
inline void philox(const MaskKey &key, uint32_t first, uint32_t step, uint32_t row, uint32_t *out) {
  uint32_t c0[philox_lanes], c1[philox_lanes], c2[philox_lanes], c3[philox_lanes];
  for (uint32_t lane = 0; lane < philox_lanes; ++lane) {
    c0[lane] = (first + lane) | key.stream << 20;
    c1[lane] = step, c2[lane] = row, c3[lane] = key.name;
  }
  uint32_t k0 = uint32_t(key.seed), k1 = uint32_t(key.seed >> 32);
  for (int round = 0; round < 10; ++round, k0 += 0x9E3779B9u, k1 += 0xBB67AE85u)
    for (int lane = 0; lane < philox_lanes; ++lane) {
      const uint64_t a = uint64_t(0xD2511F53u) * c0[lane], b = uint64_t(0xCD9E8D57u) * c2[lane];
      c0[lane] = uint32_t(b >> 32) ^ c1[lane] ^ k0, c1[lane] = uint32_t(b);
      c2[lane] = uint32_t(a >> 32) ^ c3[lane] ^ k1, c3[lane] = uint32_t(a);
    }
  std::copy_n(c0, philox_lanes, out), std::copy_n(c1, philox_lanes, out + philox_lanes);
  std::copy_n(c2, philox_lanes, out + 2 * philox_lanes), std::copy_n(c3, philox_lanes, out + 3 * philox_lanes);
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

} // namespace gatewise
