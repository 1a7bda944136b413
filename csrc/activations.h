// exp, log, sigmoid, tanh and their kin on vectors; at most 4 ulp in float and double (measured by tests).
#pragma once

#include "vec.h"

#include <cmath>

namespace gatewise {

// exp(x) = 2^k · exp(r), r = x − k·ln 2 in ±ln 2 / 2, ln 2 in two parts (Cody & Waite 1980). There exp(r) − 1 − r is r²
// times a polynomial whose largest error, relative to exp(r) − 1, is as small as can be: 1.3e-8 and 1.8e-17.
template <class T> struct ExpTraits;
template <> struct ExpTraits<float> {
  static constexpr float log2e = 1.44269504088896341f, ln2_high = 0.693359375f, ln2_low = -2.12194440e-4f;
  static constexpr float rounder = 12582912.0f; // 1.5 · 2^23: adding it rounds to an integer in the low bits
  static constexpr float highest = 88.72283f, lowest = -104.0f, widest = 87.3f;
  static constexpr int mantissa = 23, bias = 127;
  static constexpr float polynomial[] = {0.49999998148f, 0.16666543423f, 0.041667200749f, 0.0083665472706f,
                                         0.0013882513906f};
};
template <> struct ExpTraits<double> {
  static constexpr double log2e = 1.44269504088896340736, ln2_high = 6.93145751953125e-1,
                          ln2_low = 1.42860682030941723212e-6;
  static constexpr double rounder = 6755399441055744.0; // 1.5 · 2^52
  static constexpr double highest = 709.78271289338397, lowest = -745.2, widest = 708.3;
  static constexpr int mantissa = 52, bias = 1023;
  static constexpr double polynomial[] = {0.50000000000000051999,   0.16666666666666588958,   0.041666666666576466781,
                                          0.0083333333333897321426, 0.0013888888931667489418, 0.00019841269718720964603,
                                          2.4801505142333160894e-5, 2.7557407674930404939e-6, 2.7626092932364043921e-7,
                                          2.5053779075792454114e-8};
};

// exp(r) − 1 without cancellation.
template <class T> inline Vec<T> exp_minus_one_polynomial(Vec<T> r) {
  using E = ExpTraits<T>;
  constexpr int last = sizeof E::polynomial / sizeof(T) - 1;
  Vec<T> p = broadcast<T>(E::polynomial[last]);
#pragma GCC unroll 16
  for (int k = last - 1; k >= 0; --k) p = p * r + E::polynomial[k];
  return (p * r) * r + r;
}

template <class T> struct Reduced {
  Vec<T> r;
  Vec<T> whole; // k
  Mask<T> k;
};
template <class T> inline Reduced<T> reduce(Vec<T> x) {
  using E = ExpTraits<T>;
  const Vec<T> shifted = x * E::log2e + E::rounder;
  const Vec<T> k = shifted - E::rounder;
  const Vec<T> r = (x - k * E::ln2_high) - k * E::ln2_low;
  return {r, k, bits<T>(shifted) - bits<T>(broadcast<T>(E::rounder))};
}
// 2^k for k within the exponent range.
template <class T> inline Vec<T> power_of_two(Mask<T> k) {
  using E = ExpTraits<T>;
  return from_bits<T>((k + E::bias) << E::mantissa);
}

// 2^k for any k that `reduce` finds.
template <class T> inline Vec<T> scale_of(const Reduced<T> &reduced) {
#if GATEWISE_VECTOR_BYTES == 64 && defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) return (Vec<T>)_mm512_scalef_ps(_mm512_set1_ps(1), (__m512)reduced.whole);
  else return (Vec<T>)_mm512_scalef_pd(_mm512_set1_pd(1), (__m512d)reduced.whole);
#else
  return power_of_two<T>(reduced.k);
#endif
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

// 1 / (1 + exp(−x)), x held where exp(−x) is a normal number. Where the result would be smaller than the smallest one
// it is zero: a gradient that remained there, times an input of 1e38, would be as large as any other.
template <class T> inline Vec<T> sigmoid(Vec<T> x) {
  using E = ExpTraits<T>;
  const Reduced<T> reduced = reduce<T>(-at_most<T>(at_least<T>(x, -E::widest), E::widest));
  const Vec<T> scale = scale_of<T>(reduced);
  const Vec<T> value = (T)1 / (exp_minus_one_polynomial<T>(reduced.r) * scale + (scale + (T)1));
  return x < -E::widest ? Vec<T>{} : value;
}

// tanh x = e / (e + 2) with e = exp(2x) − 1, in which nothing cancels: not near 0, where e is the polynomial, and not
// at −1, where e + 2 is 1.
template <class T> inline Vec<T> tanh(Vec<T> x) {
  const Reduced<T> reduced = reduce<T>(at_most<T>(at_least<T>(x + x, (T)-40), (T)40));
  const Vec<T> scale = scale_of<T>(reduced);
  const Vec<T> e = exp_minus_one_polynomial<T>(reduced.r) * scale + (scale - (T)1);
  return with_sign_of<T>(e / (e + (T)2), x);
}

template <class T> inline Vec<T> relu(Vec<T> x) { return x < (T)0 ? Vec<T>{} : x; }
template <class T> inline Vec<T> minimum(Vec<T> a, Vec<T> b) { return a != a ? a : (b != b ? b : (a < b ? a : b)); }
template <class T> inline Vec<T> maximum(Vec<T> a, Vec<T> b) { return a != a ? a : (b != b ? b : (a > b ? a : b)); }

// log(1 + f) = 2 atanh s, s = f / (2 + f), for 1 + f in [√½, √2): 2 s and s times an even polynomial of s, fitted so
// that its largest error is 1.7e-9 and 2.5e-18. Of f, f²/2 is subtracted exactly (Tang 1990).
template <class T> struct LogTraits;
template <> struct LogTraits<float> {
  static constexpr float lowest = 0x1p-126f, scale = 0x1p24f, digits = 24;
  static constexpr float polynomial[] = {0.66666776382f, 0.39977541565f, 0.29871728022f};
};
template <> struct LogTraits<double> {
  static constexpr double lowest = 0x1p-1022, scale = 0x1p54, digits = 54;
  static constexpr double polynomial[] = {0.66666666666667344128, 0.39999999999414675746, 0.28571428742388012491,
                                          0.22222198573157717871, 0.18183564327007024513, 0.15314053051897444718,
                                          0.14795949746504109102};
};

// log u + rest, u positive and normal: u = (1 + f) · 2^k; `rest` is small against u − 1, or k is not 0.
template <class T> inline Vec<T> log_of_normal(Vec<T> u, Vec<T> rest, Vec<T> scaled_by) {
  using E = ExpTraits<T>;
  using L = LogTraits<T>;
  const Mask<T> half = bits<T>(broadcast<T>((T)0.70710678118654752440));
  const Mask<T> exponent = (bits<T>(u) - half) >> E::mantissa;
  const Vec<T> f = from_bits<T>(bits<T>(u) - (exponent << E::mantissa)) - (T)1;
  const Vec<T> k = from_bits<T>(exponent + bits<T>(broadcast<T>(E::rounder))) - E::rounder - scaled_by;
  const Vec<T> s = f / (f + (T)2), z = s * s;
  constexpr int last = sizeof L::polynomial / sizeof(T) - 1;
  Vec<T> p = broadcast<T>(L::polynomial[last]);
#pragma GCC unroll 16
  for (int j = last - 1; j >= 0; --j) p = p * z + L::polynomial[j];
  const Vec<T> square = (f * (T)0.5) * f;
  return k * E::ln2_high - ((square - (s * (square + p * z) + (k * E::ln2_low + rest))) - f);
}

template <class T> inline Vec<T> log(Vec<T> x) {
  using L = LogTraits<T>;
  const Vec<T> none{};
  const auto subnormal = x < L::lowest;
  const Vec<T> value = log_of_normal<T>(subnormal ? x * L::scale : x, none, subnormal ? none + L::digits : none);
  const Vec<T> edge = x == (T)0 ? broadcast<T>(-(T)INFINITY) : x < (T)0 ? broadcast<T>((T)NAN) : x;
  return x > (T)0 && x < (T)INFINITY ? value : edge;
}

// log(1 + x) = log u + (1 + x − u) / u, u = 1 + x rounded; for x above −1.
template <class T> inline Vec<T> log1p_inside(Vec<T> x) {
  const Vec<T> u = x + (T)1;
  const Vec<T> rounded_off = x < (T)1 ? x - (u - (T)1) : (T)1 - (u - x);
  return log_of_normal<T>(u, rounded_off / u, Vec<T>{});
}
template <class T> inline Vec<T> log1p(Vec<T> x) {
  const Vec<T> edge = x == (T)-1 ? broadcast<T>(-(T)INFINITY) : x < (T)-1 ? broadcast<T>((T)NAN) : x;
  const auto inside = x > (T)-1 && x < (T)INFINITY && x != (T)0; // −0 stays −0
  return inside ? log1p_inside<T>(x) : edge;
}

// log σ(x), without overflow and without cancellation: both terms have the same sign.
template <class T> inline Vec<T> log_sigmoid(Vec<T> x) {
  return at_most<T>(x, 0) - log1p_inside<T>(exp<T>(-absolute<T>(x)));
}

// Rare in cells: lane by lane through the C library.
template <class T, class F> inline Vec<T> each(Vec<T> x, F f) {
  for (int lane = 0; lane < lanes<T>; ++lane) x[lane] = f(x[lane]);
  return x;
}
template <class T> inline Vec<T> sqrt(Vec<T> x) {
  return each<T>(x, [](T v) { return std::sqrt(v); });
}

} // namespace gatewise
