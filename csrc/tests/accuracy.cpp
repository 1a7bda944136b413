// How far exp, expm1, log, log1p, log_sigmoid, sigmoid and tanh are from the truth, in units in the last place. Prints
// a line for each function and number type; returns 1 when one is further off than it may be, or wrong at a special
// value.
#include "activations.h"

#include <algorithm>
#include <cstdio>
#include <limits>
#include <random>
#include <vector>

namespace {

using gatewise::Vec;
constexpr double most_ulp = 4;
constexpr int samples = 200'000; // of each kind
bool failed = false;

template <class T> struct Limits : std::numeric_limits<T> {
  static constexpr const char *name = sizeof(T) == 4 ? "float" : "double";
};

// The distance of neighbouring numbers at `truth`.
template <class T> long double ulp(long double truth) {
  int exponent;
  std::frexp(truth, &exponent);
  return std::ldexp(1.0L, std::max(exponent, Limits<T>::min_exponent) - Limits<T>::digits);
}

template <class T> struct Case {
  const char *name;
  Vec<T> (*function)(Vec<T>);
  long double (*truth)(long double);
  T low, high; // beyond, the result does not change any more
  T at_zero, at_minus_infinity, at_infinity;
  T floor; // a truth smaller than this may come out as anything up to it
};

template <class T> std::vector<T> inputs(const Case<T> &c) {
  std::mt19937_64 random(7);
  std::vector<T> x;
  for (int i = 0; i < samples; ++i) x.push_back(T(c.low + (c.high - c.low) * ((i + 0.5L) / samples)));
  std::uniform_real_distribution<double> exponent(Limits<T>::min_exponent - Limits<T>::digits, 10);
  for (int i = 0; i < samples; ++i) x.push_back(T((i % 2 ? 1 : -1) * std::exp2(exponent(random))));
  for (int i = 0; i < samples; ++i) {
    const typename gatewise::Bits<T>::type pattern(random());
    T value;
    std::memcpy(&value, &pattern, sizeof value);
    if (value == value) x.push_back(value);
  }
  for (T edge : {c.low, c.high, T(0.55), T(0.6), T(0.3465736), T(1)}) // where branches and reductions change
    for (T side : {edge, -edge})
      for (int step = -8; step <= 8; ++step) {
        T value = side;
        for (int i = 0; i < std::abs(step); ++i) value = std::nextafter(value, T(step) * Limits<T>::infinity());
        x.push_back(value);
      }
  while (x.size() % gatewise::lanes<T>) x.push_back(0);
  return x;
}

template <class T> void expect(const Case<T> &c, T x, T wanted) {
  const T got = c.function(gatewise::broadcast<T>(x))[0];
  const bool same = wanted == wanted ? got == wanted && std::signbit(got) == std::signbit(wanted) : got != got;
  if (same) return;
  failed = true;
  std::printf("%s %s(%g): expected %g, got %g\n", Limits<T>::name, c.name, double(x), double(wanted), double(got));
}

template <class T> void check(const Case<T> &c) {
  const std::vector<T> x = inputs(c);
  double worst = 0, at = 0;
  for (size_t i = 0; i < x.size(); i += gatewise::lanes<T>) {
    const Vec<T> y = c.function(gatewise::load<true>(&x[i], 0));
    for (int lane = 0; lane < gatewise::lanes<T>; ++lane) {
      const T input = x[i + lane], result = y[lane];
      const long double truth = c.truth(input);
      double error = 0;
      if (truth != truth) error = result != result ? 0 : INFINITY;
      else if (std::fabs(truth) < c.floor) error = std::fabs(result) <= c.floor ? 0 : INFINITY;
      else if (T(truth) != result) error = double(std::fabs(result - truth) / ulp<T>(truth));
      if (error > worst || error != error) worst = error, at = input;
    }
  }
  std::printf("%s %s: %.2f ulp at %g\n", Limits<T>::name, c.name, worst, at);
  failed |= !(worst <= most_ulp);
  const T tiny = Limits<T>::denorm_min();
  expect(c, T(0), c.at_zero);
  expect(c, T(-0.0), c.at_zero == 0 ? T(-0.0) : c.at_zero);
  for (T x : {tiny, -tiny, Limits<T>::max(), -Limits<T>::max()})
    if (const T truth(c.truth(x));
        truth == x || truth == c.at_zero || truth == c.at_infinity || truth == c.at_minus_infinity)
      expect(c, x, truth);
  expect(c, Limits<T>::infinity(), c.at_infinity);
  expect(c, -Limits<T>::infinity(), c.at_minus_infinity);
  expect(c, Limits<T>::quiet_NaN(), Limits<T>::quiet_NaN());
  expect(c, -Limits<T>::quiet_NaN(), Limits<T>::quiet_NaN());
}

template <class T> void check_all() {
  using E = gatewise::ExpTraits<T>;
  const T infinity = Limits<T>::infinity();
  const auto sigmoid = [](long double x) { return 1 / (1 + expl(-x)); };
  check<T>({"exp", gatewise::exp<T>, expl, E::lowest, E::highest, 1, 0, infinity, 0});
  check<T>({"expm1", gatewise::expm1<T>, expm1l, E::lowest, E::highest, 0, -1, infinity, 0});
  check<T>({"sigmoid", gatewise::sigmoid<T>, sigmoid, -E::widest, E::widest, T(0.5), 0, 1, 2 * Limits<T>::min()});
  const auto log_sigmoid = [](long double x) { return std::min(x, 0.0L) - log1pl(expl(-fabsl(x))); };
  const T nan = Limits<T>::quiet_NaN(), ln2 = T(0.693147180559945309417232L);
  check<T>({"log", gatewise::log<T>, logl, 0, 4, -infinity, nan, infinity, 0});
  check<T>({"log1p", gatewise::log1p<T>, log1pl, -1, 4, 0, nan, infinity, 0});
  check<T>({"log_sigmoid", gatewise::log_sigmoid<T>, log_sigmoid, E::lowest, E::highest, -ln2, -infinity, 0, 0});
  check<T>({"tanh", gatewise::tanh<T>, tanhl, -20, 20, 0, -1, 1, 0});
}

} // namespace

int main() {
  check_all<float>();
  check_all<double>();
  return failed;
}
