// Products of bytes against the same sums in plain integers, to the bit.
#include "bytes.h"

#include "check.h"

#include <memory>

namespace {

using namespace gatewise::bytes;
using gatewise::lanes;
using gatewise::most_rows;
using gatewise::widest_strip;

enum Kind { ordinary, extreme, tiny, zeros, not_finite };

std::vector<float> values(int64_t count, unsigned seed, Kind kind) {
  std::mt19937 random(seed);
  std::vector<float> all(count);
  for (float &one : all) {
    one = float(int(random() % 2001) - 1000) / 997;
    if (kind == extreme) one = random() % 4 ? 1 : -1; // sums that 16 bits do not hold
    if (kind == tiny) one *= 1e-30f;
    if (kind == zeros) one = 0;
  }
  if (kind == not_finite) all[count / 2] = seed % 2 ? NAN : INFINITY;
  return all;
}

struct Quantised {
  std::vector<int> q;
  float scale;
  explicit Quantised(const float *from, int64_t depth) : q(depth) {
    float largest = 0;
    for (int64_t k = 0; k < depth; ++k) largest = std::max(largest, std::fabs(from[k]));
    scale = largest / 127;
    for (int64_t k = 0; k < depth; ++k) q[k] = largest ? int(std::nearbyintf(from[k] * (127 / largest))) : 0;
  }
};

template <int strip> void check_strip(Kind kind, bool fast) {
  constexpr int64_t columns = strip * lanes<float>, strips = 2;
  for (int64_t depth : {1, 4, 33, 130})
    for (int64_t count = 1; count <= gatewise::rows_for(strip); ++count) {
      const std::vector<float> weights =
          values(strips * columns * depth, 7 * depth + strip, kind == tiny ? tiny : extreme);
      const std::vector<float> rows = values(count * depth, 3 * depth + count, kind);
      const std::vector<float> start = values(count * columns, 5, ordinary);
      const std::unique_ptr<std::byte, decltype(&std::free)> memory(
          static_cast<std::byte *>(std::aligned_alloc(64, (Packed::size(strips, depth, columns) + 63) / 64 * 64)),
          &std::free);
      const Packed packed(memory.get(), strips, depth, columns);
      for (int64_t s = 0; s < strips; ++s)
        for (int64_t c = 0; c < columns; ++c)
          packed.set(s, c, s == 1 && c == columns - 1 ? Row{} : Row{weights.data() + (s * columns + c) * depth}, depth);
      std::vector<Quantised> wanted_weights, wanted_rows;
      for (int64_t c = 0; c < strips * columns; ++c) wanted_weights.emplace_back(weights.data() + c * depth, depth);
      for (int64_t r = 0; r < count; ++r) wanted_rows.emplace_back(rows.data() + r * depth, depth);
      std::vector<uint8_t> bytes(count * quads(depth) * quad, 7);
      const uint8_t *row[most_rows];
      float scale[most_rows];
      for (int64_t r = 0; r < count; ++r) {
        uint8_t *const to = bytes.data() + r * quads(depth) * quad;
        row[r] = to, scale[r] = quantise(rows.data() + r * depth, depth, to);
      }
      for (int64_t s = 0; s < strips; ++s)
        for (bool from_start : {false, true}) {
          std::vector<float> out(count * columns, NAN);
          const Tile tile = fast ? fast_tiles().of[strip][count] : portable_tiles().of[strip][count];
          tile(row, scale, quads(depth), packed.strip(s), out.data(), columns, from_start ? start.data() : nullptr,
               columns);
          Values got(out.begin(), out.end()), wanted;
          for (int64_t r = 0; r < count; ++r)
            for (int64_t c = 0; c < columns; ++c) {
              const bool beyond = s == 1 && c == columns - 1;
              const Quantised &w = wanted_weights[s * columns + c], &x = wanted_rows[r];
              int64_t sum = 0;
              for (int64_t k = 0; k < depth; ++k) sum += int64_t(w.q[k]) * x.q[k];
              const volatile float product = beyond ? 0 : float(sum) * (w.scale * x.scale);
              wanted.push_back(product + (from_start ? start[r * columns + c] : 0));
            }
          if (kind == not_finite) {
            // The row with the value that is not finite is NaN, the others are not.
            for (int64_t r = 0; r < count; ++r) {
              const bool has = count * depth / 2 / depth == r;
              for (int64_t c = 0; c < columns; ++c) expect("NaN", std::isnan(out[r * columns + c]) == has);
            }
          } else compare("strip " + std::to_string(strip) + " depth " + std::to_string(depth), got, wanted, 0);
        }
    }
}

template <int... strip> void check_all(std::integer_sequence<int, strip...>) {
  for (Kind kind : {ordinary, extreme, tiny, zeros, not_finite})
    for (bool fast : {false, true})
      if (!fast || has_instruction()) (check_strip<strip + 1>(kind, fast), ...);
}

} // namespace

int main() {
  check_all(std::make_integer_sequence<int, widest_strip>{});
  return report();
}
