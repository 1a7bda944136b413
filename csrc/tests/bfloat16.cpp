// Products of bfloat16 against an imitation of the processor's instruction, to the bit, on every instruction set.
#include "bfloat16.h"

#include "check.h"
#include "team.h"
#include "tile.h"

#include <bit>
#include <cstring>

namespace {

using namespace gatewise::bfloat16;
using gatewise::lanes;
using gatewise::most_rows;
using gatewise::short_sum;
using gatewise::Vec;
using gatewise::widest_strip;

float number(uint32_t bits) { return std::bit_cast<float>(bits); }
uint32_t bits_of(float value) { return std::bit_cast<uint32_t>(value); }
// Both zeros, of the sign of a denormal number.
float flushed(float value) { return std::fabs(value) < 0x1p-126f ? std::copysign(0.0f, value) : value; }

// The nearer of the two numbers of 16 bits around a value; of two equally near the even one.
uint32_t rounded(float value) {
  if (value != value) return (bits_of(value) | 0x400000) >> 16;
  value = flushed(value);
  if (std::isinf(value)) return bits_of(value) >> 16;
  const uint32_t below = bits_of(value) >> 16, above = below + 1; // towards zero, and away from it
  const auto of = [](uint32_t half) {                             // what follows the largest number is 2^128
    const float one = number(half << 16);
    return std::isinf(one) ? std::copysign(0x1p128, double(one)) : double(one);
  };
  const double down = std::fabs(double(value) - of(below)), up = std::fabs(of(above) - double(value));
  return down < up ? below : up < down ? above : below % 2 ? above : below;
}

// sum + a · b with one rounding where there is an instruction for it; factors of 8 bits have exact products otherwise,
// unless these are denormal.
float add_product(float sum, float a, float b) {
#if defined(__FMA__) || defined(__aarch64__)
  return flushed(std::fma(a, b, flushed(sum)));
#else
  return flushed(flushed(a * b) + flushed(sum));
#endif
}
float add_pairs(float sum, float weights, float values) {
  const uint32_t w = bits_of(weights), v = bits_of(values);
  sum = add_product(sum, number(w & upper), number(v & upper));
  return add_product(sum, number(w << 16), number(v << 16));
}

void same(const std::string &what, float got, float wanted) {
  const bool both_wrong = got != got && wanted != wanted; // which NaN comes is the processor's choice
  expect(what, both_wrong || bits_of(got) == bits_of(wanted));
}

class Random {
public:
  explicit Random(unsigned seed) : random(seed) {}
  // Any bits: denormal, infinite, NaN.
  float any() { return number(uint32_t(random())); }
  // Of an exponent within `spread` of that of 2^center.
  float near(int center, int spread) {
    return std::ldexp((random() % 2 ? 1 : -1) * (1 + float(random() % (1 << 23)) / (1 << 23)),
                      center + int(random() % (2 * spread + 1)) - spread);
  }
  // A pair of numbers of 16 bits that are not denormal, as rounding leaves them.
  float pair_near(int center, int spread) { return pair(near(center, spread), near(center, spread)); }

private:
  std::mt19937 random;
};

void check_rounding() {
  Random random(1);
  std::vector<float> all = {0.0f,
                            -0.0f,
                            INFINITY,
                            -INFINITY,
                            NAN,
                            number(0x7fffffff),
                            number(0xff800001),
                            0x1p-126f,
                            number(0x007fffff),
                            number(0x80000001),
                            number(0x7f7fffff),
                            number(0x3f808000),
                            number(0x3f818000),
                            number(0x3f808001),
                            number(0x3f807fff),
                            number(0xbf818000)};
  for (int i = 0; i < 20000; ++i) all.push_back(i % 2 ? random.any() : random.near(0, 3));
  for (float value : all) {
    const std::string what = "rounding of " + std::to_string(bits_of(value));
    compare(what, {double(nearest(value) >> 16)}, {double(rounded(value))}, 0);
#if defined(__AVX512BW__) && GATEWISE_VECTOR_BYTES == 64
    if (!has_instruction()) continue;
    __m256i halves;
    asm("vcvtneps2bf16 %1, %0" : "=v"(halves) : "v"(_mm512_set1_ps(value)));
    compare(what + ", the processor's", {double(uint16_t(_mm256_extract_epi16(halves, 0)))}, {double(rounded(value))},
            0);
#endif
  }
  for (int64_t depth = 1; depth <= 4 * lanes<float> + 1; ++depth) {
    std::vector<float> first, second, to(pairs(depth)), rows(depth);
    for (int64_t k = 0; k < depth; ++k) first.push_back(random.near(0, 3)), second.push_back(random.near(0, 3));
    pair_neighbours(first.data(), depth, to.data());
    for (int64_t k = 0; k < depth; ++k)
      compare("neighbours", {double(bits_of(to[k / 2]) >> (k % 2 * 16) & 0xffff)}, {double(rounded(first[k]))}, 0);
    if (depth % 2) compare("after the last", {double(bits_of(to.back()) >> 16)}, {0}, 0);
    for (bool both : {false, true}) {
      pair_rows(first.data(), both ? second.data() : nullptr, depth, rows.data());
      for (int64_t k = 0; k < depth; ++k)
        compare("rows", {double(bits_of(rows[k]))}, {double(rounded(both ? second[k] : 0) << 16 | rounded(first[k]))},
                0);
    }
  }
}

template <class Product> void check_product(const std::string &name) {
  Random random(2);
  for (int i = 0; i < 40000; ++i) {
    // Ordinary numbers; sums that cancel; results around the smallest normal number, and sums that are denormal.
    const int center = i % 3 == 1 ? -63 : 0;
    const float weights = random.pair_near(center, 4), value = random.pair_near(center, 4);
    const float sum = i % 3 == 2 ? -add_pairs(0, weights, value) : random.near(2 * center, 12);
    Vec<float> sums, all;
    for (int lane = 0; lane < lanes<float>; ++lane) sums[lane] = lane % 2 ? sum : -sum, all[lane] = weights;
    const Vec<float> found = Product::add(sums, all, value);
    for (int lane = 0; lane < 2; ++lane)
      same(name + " of " + std::to_string(i), found[lane], add_pairs(sums[lane], weights, value));
  }
}

// A tile adds as the imitation does in the tile's order; rows and weights of any scale, and start.
template <class Product, int strip> void check_tile(const std::string &name) {
  constexpr int64_t width = strip * lanes<float>;
  Random random(3);
  for (int64_t depth : {1, 2, 5, int(short_sum) + 3})
    for (int64_t count = 1; count <= gatewise::rows_for(strip); ++count) {
      std::vector<float> rows, weights, start;
      for (int64_t i = 0; i < count * depth; ++i) rows.push_back(random.pair_near(0, 4));
      for (int64_t i = 0; i < depth * width; ++i) weights.push_back(random.pair_near(0, 4));
      for (int64_t i = 0; i < count * width; ++i) start.push_back(random.near(0, 4));
      const float *row[most_rows];
      for (int64_t r = 0; r < count; ++r) row[r] = rows.data() + r * depth;
      std::vector<float> out(count * width, NAN);
      gatewise::tiles<float, Product>.of[strip][count](row, depth, weights.data(), out.data(), width, start.data(),
                                                       width);
      const int64_t chains = strip * count <= 6 ? 2 : 1;
      for (int64_t r = 0; r < count; ++r)
        for (int64_t u = 0; u < width; ++u) {
          float wanted = start[r * width + u];
          for (int64_t begin = 0; begin < depth; begin += short_sum) {
            const int64_t end = std::min<int64_t>(depth, begin + short_sum);
            float sum[2] = {0, 0};
            for (int64_t k = begin; k < end; ++k) {
              const bool last = chains == 2 && (end - begin) % 2 && k == end - 1;
              float &own = sum[last ? 0 : (k - begin) % chains];
              own = add_pairs(own, weights[k * width + u], row[r][k]);
            }
            const float both = chains == 2 ? flushed(sum[0] + sum[1]) : sum[0];
            wanted = flushed(both + wanted);
          }
          same(name + ", strip " + std::to_string(strip) + " rows " + std::to_string(count) + " depth " +
                   std::to_string(depth),
               out[r * width + u], wanted);
        }
    }
}
template <class Product, int... strip>
void check_all(const std::string &name, std::integer_sequence<int, strip...>) {
  check_product<Product>(name);
  (check_tile<Product, strip + 1>(name), ...);
}

} // namespace

int main() {
  check_rounding();
  constexpr auto strips = std::make_integer_sequence<int, widest_strip>{};
  {
    const gatewise::FlushDenormals around; // as every call of the engine
    check_all<Widened>("widened", strips);
  }
#if defined(__AVX512BW__) && GATEWISE_VECTOR_BYTES == 64
  if (has_instruction()) {
    check_all<Instruction>("instruction", strips);
    // It has modes of its own.
    const unsigned before = _mm_getcsr();
    Random random(4);
    std::vector<std::pair<float, float>> given;
    for (int i = 0; i < 1000; ++i)
      given.push_back({random.pair_near(-63 * (i % 2), 4), random.near(-126 * (i % 2), 4)});
    for (const auto &[weights, sum] : given) {
      const float wanted = add_pairs(sum, weights, weights);
      Vec<float> sums = sum - Vec<float>{}, all = std::bit_cast<Vec<float>>(_mm512_set1_epi32(bits_of(weights)));
      asm volatile("" : "+v"(sums), "+v"(all));
      _mm_setcsr((before & ~0xe040u) | 0x4000); // upwards, denormal numbers as they are
      Vec<float> found = Instruction::add(sums, all, weights);
      asm volatile("" : "+v"(found));
      _mm_setcsr(before);
      same("instruction in other modes", found[0], wanted);
    }
  }
#endif
  return report();
}
