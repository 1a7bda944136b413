// A series: what the network reads of its values, and their scale, as gatewise/tasks/forecasting does.
#pragma once

#include "runtime/description.h"

#include <algorithm>
#include <cmath>

namespace gatewise {

inline constexpr double rounding_of_series = 8 * 0x1p-52;

// Ascending, what is not a number last.
inline constexpr auto in_order = [](auto a, auto b) { return a < b || (a == a && b != b); };

// The level and scale of the values (count) up to a step, the newest last; `usual`: the size of a usual change.
struct SeriesScale {
  double level, scale;
  double scaled(double value) const { return (value - level) / scale; }
  double unscaled(double value) const { return value * scale + level; }
};
inline SeriesScale scale_of_window(const double *window, int64_t count, double usual, double *scratch) {
  std::copy_n(window, count, scratch);
  std::nth_element(scratch, scratch + (count - 1) / 2, scratch + count, in_order);
  const double middle = scratch[(count - 1) / 2];
  double most = 0, mean = 0, widest = 0, squares = 0, largest = 0;
  for (int64_t k = 0; k < count; ++k) most += std::abs(window[k] - middle);
  most = 5 * most / double(count);
  for (int64_t k = 0; k < count; ++k) {
    scratch[k] = std::clamp(window[k] - middle, -most, most);
    mean += scratch[k], largest = std::max(largest, std::abs(middle + scratch[k]));
  }
  mean /= double(count);
  for (int64_t k = 0; k < count; ++k) widest = std::max(widest, std::abs(scratch[k] - mean));
  for (int64_t k = 0; k < count; ++k) {
    const double ratio = (scratch[k] - mean) / (widest > 0 ? widest : 1);
    squares += ratio * ratio;
  }
  const double deviation = widest * std::sqrt(squares / double(count));
  double scale = deviation > rounding_of_series * largest ? std::max(deviation, 1e-3 * usual) : usual;
  if (!(scale > 0)) scale = 1e-4 * largest;
  return {middle + mean, scale > 1e-290 ? scale : 1};
}

// The values of a series so far, none of them missing, in memory of the caller's that has room for all to come.
class Series {
public:
  // `scratch`: (W).
  Series(const ForecastInfo &info, double *values, double *scratch) : info(info), values(values), scratch(scratch) {}

  void append(double value) { values[count++] = value; }
  // Begins as the end of another, with the size of its usual change.
  void begin(const double *end, int64_t length, double change) {
    std::copy_n(end, length, values);
    count = length, usual = change;
  }
  // As many values as any step to come reads.
  static int64_t most(const ForecastInfo &info) { return std::max(info.window, info.season + 1); }
  int64_t length() const { return std::min(count, most(info)); }
  const double *end() const { return values + count - length(); }
  double usual_change() const { return usual; }

  SeriesScale scale() const {
    const int64_t width = std::min(count, info.window);
    return scale_of_window(values + count - width, width, usual, scratch);
  }
  // The three numbers that the network reads of the last value.
  template <class T> T *features(bool missing, T *to) const {
    const double now = values[count - 1], before = count > 1 ? values[count - 2] : now;
    const SeriesScale own = scale();
    to[0] = T(float(softened(own.scaled(now)))), to[1] = T(float(softened((now - before) / own.scale)));
    to[2] = missing;
    return to + 3;
  }
  // The last values, references for the steps that are forecast at once: (2), or with a season (2 + K).
  template <class T> void references(const SeriesScale &own, T *to) const {
    const double now = values[count - 1];
    to[0] = T(float(own.scaled(now)));
    to[1] = count > info.season ? T(float((now - values[count - 1 - info.season]) / own.scale)) : T(0);
    for (int64_t k = 0; info.season > 1 && k < info.ahead; ++k) {
      const int64_t back = info.season - 1 - k % info.season;
      to[2 + k] = T(float(own.scaled(back < count ? values[count - 1 - back] : now)));
    }
  }
  static int64_t reference_count(const ForecastInfo &info) { return 2 + (info.season > 1 ? info.ahead : 0); }

protected:
  const ForecastInfo &info;
  double *values, *scratch, usual = 0;
  int64_t count = 0;

private:
  static double softened(double value) { return 3 * std::asinh(value / 3); }
};

// A series that is read: each missing value is replaced by the one before it, and the size of changes is counted.
class SeriesReader : public Series {
public:
  using Series::Series;

  // The next value, NaN where it is missing; to the three numbers that the network reads of it.
  template <class T> T *read(double value, T *to) {
    const bool missing = value != value;
    append(missing ? values[count - 1] : value);
    const double now = values[count - 1], before = count > 1 ? values[count - 2] : now, size = std::abs(now - before);
    if (size > rounding_of_series * std::max(std::abs(now), std::abs(before))) logs += std::log(size), ++seen;
    usual = seen ? std::exp(logs / double(seen)) : 0;
    return features(missing, to);
  }

private:
  double logs = 0;
  int64_t seen = 0;
};

} // namespace gatewise
