// Forecasts of a series: what the network reads of it, and what its numbers mean, as gatewise/tasks/forecasting does.
#pragma once

#include "runtime/heads.h"

namespace gatewise {

// The level and scale of the values (count) up to a step, the newest last; `usual`: the size of a usual change.
struct SeriesScale {
  double level, scale;
  double scaled(double value) const { return (value - level) / scale; }
};
inline SeriesScale scale_of_window(const double *window, int64_t count, double usual, double *scratch) {
  constexpr double rounding = 8 * 0x1p-52;
  std::copy_n(window, count, scratch);
  std::nth_element(scratch, scratch + (count - 1) / 2, scratch + count, [](auto a, auto b) { return a < b; });
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
  double scale = deviation > rounding * largest ? std::max(deviation, 1e-3 * usual) : usual;
  if (!(scale > 0)) scale = 1e-4 * largest;
  return {middle + mean, scale > 1e-290 ? scale : 1};
}

// The values of one row, each missing one replaced by the one before it, and what has been seen of their changes.
class SeriesReader {
public:
  SeriesReader(const ForecastInfo &info, double *filled, double *scratch)
      : info(info), filled(filled), scratch(scratch) {}

  // The next value, NaN where it is missing; to the three numbers that the network reads of it.
  template <class T> void read(double value, T *to) {
    const bool missing = value != value;
    filled[count] = missing ? filled[count - 1] : value;
    const double now = filled[count], before = count ? filled[count - 1] : now, size = std::abs(now - before);
    if (size > 8 * 0x1p-52 * std::max(std::abs(now), std::abs(before))) logs += std::log(size), ++seen;
    ++count;
    const SeriesScale scale = current();
    to[0] = T(float(softened(scale.scaled(now)))), to[1] = T(float(softened((now - before) / scale.scale)));
    to[2] = missing;
  }
  SeriesScale current() const {
    const int64_t width = std::min(count, info.window);
    return scale_of_window(filled + count - width, width, seen ? std::exp(logs / double(seen)) : 0, scratch);
  }
  // What is near at hand for the steps to come, (2) or with a season (2 + K).
  template <class T> void references(const SeriesScale &scale, T *to) const {
    const double now = filled[count - 1];
    to[0] = T(float(scale.scaled(now)));
    to[1] = count > info.season ? T(float((now - filled[count - 1 - info.season]) / scale.scale)) : T(0);
    for (int64_t k = 0; info.season > 1 && k < info.horizon; ++k) {
      const int64_t back = info.season - 1 - k % info.season;
      to[2 + k] = T(float(scale.scaled(back < count ? filled[count - 1 - back] : now)));
    }
  }

private:
  const ForecastInfo &info;
  double *filled, *scratch, logs = 0;
  int64_t count = 0, seen = 0;

  static double softened(double value) { return 3 * std::asinh(value / 3); }
};

// The quantiles (L) of a step in units of the data, from the Q numbers of the network.
template <class T>
void forecast_quantiles(const ForecastInfo &info, int64_t step, T *predicted, const SeriesScale &scale, T *to) {
  const int64_t levels = info.levels, middle = info.middle;
  if (info.kind == forecast_quantile) std::sort(predicted, predicted + levels, [](auto a, auto b) { return a < b; });
  const T deviation = info.kind != forecast_gaussian ? T(0)
                      : predicted[1] > 20            ? predicted[1]
                                                     : std::log1p(std::exp(predicted[1]));
  double before = 0;
  const auto moved = [&](int64_t level) {
    const T value = info.kind == forecast_quantile   ? predicted[level]
                    : info.kind == forecast_gaussian ? predicted[0] + (deviation + T(1e-3)) * T(info.steps[level])
                                                     : predicted[0];
    return double(value) * scale.scale + scale.level +
           (info.moves ? info.moves[step * levels + level] * scale.scale : 0);
  };
  // Calibrated quantiles stay in order, from the median on.
  for (int64_t level = middle; level < levels; ++level) {
    before = level > middle && info.moves ? std::max(before, moved(level)) : moved(level);
    to[level] = T(before);
  }
  before = moved(middle);
  for (int64_t level = middle - 1; level >= 0; --level) {
    before = info.moves ? std::min(before, moved(level)) : moved(level);
    to[level] = T(before);
  }
}

} // namespace gatewise
