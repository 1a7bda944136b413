// One vector register as a value. The compiler's own vector types give arithmetic, comparisons and selection on every
// instruction set; GATEWISE_VECTOR_BYTES and the compiler's -m flags say which one a file is built for.
#pragma once

#include <cstdint>
#include <cstring>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#ifndef GATEWISE_VECTOR_BYTES
#define GATEWISE_VECTOR_BYTES 16
#endif

namespace gatewise {

template <class T> struct Bits;
template <> struct Bits<float> {
  using type = int32_t;
};
template <> struct Bits<double> {
  using type = int64_t;
};

template <class T> inline constexpr int lanes = GATEWISE_VECTOR_BYTES / sizeof(T);

template <class T> using Vec [[gnu::vector_size(GATEWISE_VECTOR_BYTES)]] = T;
template <class T> using Mask [[gnu::vector_size(GATEWISE_VECTOR_BYTES)]] = typename Bits<T>::type;

template <class T> inline Vec<T> broadcast(T value) { return value - Vec<T>{}; } // −, so that −0 stays −0

// The first n of the lanes; the others are 0. A whole register when `whole`.
template <bool whole, class T> inline Vec<T> load(const T *from, int n) {
  Vec<T> value{};
  std::memcpy(&value, from, whole ? sizeof value : n * sizeof(T));
  return value;
}

template <bool whole, class T, class V> inline void store(T *to, V value, int n) {
  std::memcpy(to, &value, whole ? sizeof value : n * sizeof(T));
}

// The first n of the lanes of a value, the others 0; all of them when `whole`.
template <bool whole, class V> inline V first(V value, int n) {
  if constexpr (whole) return value;
  V some{};
  std::memcpy(&some, &value, n * sizeof value[0]);
  return some;
}

// NaN stays NaN. (GCC 12 makes two instructions of what the comparison says in one.)
template <class T> inline Vec<T> at_least(Vec<T> x, T low) {
#if GATEWISE_VECTOR_BYTES == 64 && defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) return (Vec<T>)_mm512_max_ps(_mm512_set1_ps(low), (__m512)x);
  else return (Vec<T>)_mm512_max_pd(_mm512_set1_pd(low), (__m512d)x);
#else
  return low > x ? broadcast<T>(low) : x;
#endif
}
template <class T> inline Vec<T> at_most(Vec<T> x, T high) {
#if GATEWISE_VECTOR_BYTES == 64 && defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) return (Vec<T>)_mm512_min_ps(_mm512_set1_ps(high), (__m512)x);
  else return (Vec<T>)_mm512_min_pd(_mm512_set1_pd(high), (__m512d)x);
#else
  return high < x ? broadcast<T>(high) : x;
#endif
}

template <class T> inline Mask<T> bits(Vec<T> value) { return (Mask<T>)value; }
template <class T> inline Vec<T> from_bits(Mask<T> value) { return (Vec<T>)value; }
template <class T> inline Vec<T> with_sign_of(Vec<T> size, Vec<T> sign) {
  const Mask<T> top = bits<T>(broadcast<T>((T)-0.0));
  return from_bits<T>((bits<T>(size) & ~top) | (bits<T>(sign) & top));
}

} // namespace gatewise
