// exp, sigmoid, tanh and their kin on vectors; at most 4 ulp in float and double (measured by tests).
#pragma once

#include "vec.h"

#include <cmath>

namespace gatewise {

// exp(x) = 2^k · exp(r), r = x − k·ln 2 in ±ln 2 / 2, ln 2 in two parts (Cody & Waite 1980). exp(r) is its Taylor
// polynomial, long enough that the remainder is below half an ulp there.
template <class T> struct ExpTraits;
template <> struct ExpTraits<float> {
  static constexpr float log2e = 1.44269504088896341f, ln2_high = 0.693359375f, ln2_low = -2.12194440e-4f;
  static constexpr float rounder = 12582912.0f; // 1.5 · 2^23: adding it rounds to an integer in the low bits
  static constexpr float highest = 88.72283f, lowest = -104.0f, widest = 87.3f;
  static constexpr int mantissa = 23, bias = 127, degree = 7;
};
template <> struct ExpTraits<double> {
  static constexpr double log2e = 1.44269504088896340736, ln2_high = 6.93145751953125e-1,
                          ln2_low = 1.42860682030941723212e-6;
  static constexpr double rounder = 6755399441055744.0; // 1.5 · 2^52
  static constexpr double highest = 709.78271289338397, lowest = -745.2, widest = 708.3;
  static constexpr int mantissa = 52, bias = 1023, degree = 13;
};

inline constexpr double inverse_factorial[] = {
    1.0,        1.0,         1.0 / 2,      1.0 / 6,       1.0 / 24,       1.0 / 120,       1.0 / 720,
    1.0 / 5040, 1.0 / 40320, 1.0 / 362880, 1.0 / 3628800, 1.0 / 39916800, 1.0 / 479001600, 1.0 / 6227020800.0};

// r + r²/2 + … + r^degree/degree!: exp(r) − 1 without cancellation.
template <class T> inline Vec<T> exp_minus_one_polynomial(Vec<T> r) {
  using E = ExpTraits<T>;
  Vec<T> p = broadcast<T>((T)inverse_factorial[E::degree]);
#pragma GCC unroll 16
  for (int k = E::degree - 1; k >= 2; --k) p = p * r + (T)inverse_factorial[k];
  return (p * r) * r + r;
}

template <class T> struct Reduced {
  Vec<T> r;
  Mask<T> k;
};
template <class T> inline Reduced<T> reduce(Vec<T> x) {
  using E = ExpTraits<T>;
  const Vec<T> shifted = x * E::log2e + E::rounder;
  const Vec<T> k = shifted - E::rounder;
  const Vec<T> r = (x - k * E::ln2_high) - k * E::ln2_low;
  return {r, bits<T>(shifted) - bits<T>(broadcast<T>(E::rounder))};
}
// 2^k for k within the exponent range.
template <class T> inline Vec<T> power_of_two(Mask<T> k) {
  using E = ExpTraits<T>;
  return from_bits<T>((k + E::bias) << E::mantissa);
}

template <class T> inline Vec<T> exp(Vec<T> x) {
  using E = ExpTraits<T>;
  const Vec<T> held = x > E::highest ? broadcast<T>(E::highest) : x < E::lowest ? broadcast<T>(E::lowest) : x;
  const Reduced<T> reduced = reduce<T>(held);
  const Mask<T> half = reduced.k >> 1; // in two factors, since 2^k alone can leave the exponent range
  const Vec<T> value =
      (exp_minus_one_polynomial<T>(reduced.r) + (T)1) * power_of_two<T>(half) * power_of_two<T>(reduced.k - half);
  const Vec<T> limited = x > E::highest ? broadcast<T>((T)INFINITY) : value;
  return x == x ? limited : x;
}

template <class T> inline Vec<T> expm1(Vec<T> x) {
  using E = ExpTraits<T>;
  const Vec<T> held = x > E::highest ? broadcast<T>(E::highest) : x < E::lowest ? broadcast<T>(E::lowest) : x;
  const Reduced<T> reduced = reduce<T>(held);
  const Mask<T> half = reduced.k >> 1;
  const Vec<T> a = power_of_two<T>(half), b = power_of_two<T>(reduced.k - half);
  const Vec<T> one = power_of_two<T>(half - reduced.k); // 1 / b: the last factor comes last, since a · b can overflow
  const Vec<T> value = (exp_minus_one_polynomial<T>(reduced.r) * a + (a - one)) * b;
  const Vec<T> limited = x > E::highest ? broadcast<T>((T)INFINITY) : value;
  return x == x ? (x == (T)0 ? x : limited) : x;
}

template <class T> inline Vec<T> absolute(Vec<T> x) {
  return from_bits<T>(bits<T>(x) & ~bits<T>(broadcast<T>((T)-0.0)));
}

// 1 / (1 + exp(−x)), x held where exp(−x) is a normal number: beyond, the result is below the smallest one.
template <class T> inline Vec<T> sigmoid(Vec<T> x) {
  using E = ExpTraits<T>;
  const Vec<T> low = broadcast<T>(-E::widest), high = broadcast<T>(E::widest);
  const Vec<T> held = -(x < low ? low : x > high ? high : x);
  const Reduced<T> reduced = reduce<T>(held);
  const Vec<T> scale = power_of_two<T>(reduced.k);
  return (T)1 / (exp_minus_one_polynomial<T>(reduced.r) * scale + (scale + (T)1));
}

// With t = exp(−2|x|), which cannot overflow, tanh |x| = (1 − t) / (1 + t). Near 0 1 − t is taken from exp(r) − 1, so
// that nothing cancels; further out 1 − 2t / (1 + t) rounds once.
template <class T> inline Vec<T> tanh(Vec<T> x) {
  const Vec<T> limit = broadcast<T>((T)-40);
  const Vec<T> twice = (T)-2 * absolute<T>(x);
  const Reduced<T> reduced = reduce<T>(twice < limit ? limit : twice);
  const Vec<T> scale = power_of_two<T>(reduced.k);
  const Vec<T> p = exp_minus_one_polynomial<T>(reduced.r) * scale;
  const Vec<T> t = p + scale;
  const Mask<T> near = twice > (T)-1.2;
  const Vec<T> quotient = (near ? ((T)1 - scale) - p : t + t) / (t + (T)1);
  const Vec<T> value = near ? quotient : (T)1 - quotient;
  const Mask<T> sign = bits<T>(x) & bits<T>(broadcast<T>((T)-0.0));
  return from_bits<T>(bits<T>(value) | sign);
}

template <class T> inline Vec<T> relu(Vec<T> x) { return x < (T)0 ? Vec<T>{} : x; }
template <class T> inline Vec<T> minimum(Vec<T> a, Vec<T> b) { return a != a ? a : (b != b ? b : (a < b ? a : b)); }
template <class T> inline Vec<T> maximum(Vec<T> a, Vec<T> b) { return a != a ? a : (b != b ? b : (a > b ? a : b)); }

// Rare in cells: lane by lane through the C library.
template <class T, class F> inline Vec<T> each(Vec<T> x, F f) {
  for (int lane = 0; lane < lanes<T>; ++lane) x[lane] = f(x[lane]);
  return x;
}
template <class T> inline Vec<T> log(Vec<T> x) {
  return each<T>(x, [](T v) { return std::log(v); });
}
template <class T> inline Vec<T> log1p(Vec<T> x) {
  return each<T>(x, [](T v) { return std::log1p(v); });
}
template <class T> inline Vec<T> sqrt(Vec<T> x) {
  return each<T>(x, [](T v) { return std::sqrt(v); });
}

} // namespace gatewise
