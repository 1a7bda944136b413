// Forecasts from the states at the ends of series: all steps at once, or one by one along paths that are drawn.
#pragma once

#include "runtime/heads.h"
#include "runtime/inputs.h"
#include "runtime/series.h"

namespace gatewise {

// Calibrated quantiles (L) of a step, from those of the data: in order from the median on.
template <class T>
void calibrate(const ForecastInfo &info, int64_t step, const SeriesScale &scale, const double *quantiles, T *to) {
  double before = 0;
  const auto moved = [&](int64_t level) {
    return quantiles[level] + (info.moves ? info.moves[step * info.levels + level] * scale.scale : 0);
  };
  for (int64_t level = info.middle; level < info.levels; ++level) {
    before = level > info.middle && info.moves ? std::max(before, moved(level)) : moved(level);
    to[level] = T(before);
  }
  before = moved(info.middle);
  for (int64_t level = info.middle - 1; level >= 0; --level) {
    before = info.moves ? std::min(before, moved(level)) : moved(level);
    to[level] = T(before);
  }
}

// What the Q numbers of the network mean for a step.
template <class T> class Predicted {
public:
  Predicted(const ForecastInfo &info, T *numbers) : info(info), numbers(numbers) {
    if (info.kind == forecast_quantile) std::sort(numbers, numbers + info.levels, in_order);
    if (info.kind == forecast_gaussian)
      deviation = (numbers[1] > 20 ? numbers[1] : std::log1p(std::exp(numbers[1]))) + T(1e-3);
  }
  T quantile(int64_t level) const {
    return info.kind == forecast_quantile   ? numbers[level]
           : info.kind == forecast_gaussian ? numbers[0] + deviation * T(info.steps[level])
                                            : numbers[0];
  }
  T drawn(T noise) const { return info.kind == forecast_gaussian ? numbers[0] + deviation * noise : numbers[0]; }

private:
  const ForecastInfo &info;
  T *numbers, deviation = 0;
};

// The quantile of sorted values at a level, between two of them in proportion.
inline double quantile_of(const double *sorted, int64_t count, double level) {
  const double at = level * double(count - 1);
  const int64_t below = int64_t(at), above = std::min(below + 1, count - 1);
  const double share = at - double(below), distance = sorted[above] - sorted[below];
  return share < 0.5 ? sorted[below] + share * distance : sorted[above] - distance * (1 - share);
}

// The numbers of the network for the steps to come, and what is read off them.
template <class T> class Forecaster {
public:
  // `width`: of the widest input or output of a layer.
  void carve(Carver &memory, const Limits &limits, int64_t width) {
    const ForecastInfo &info = *description.forecast;
    const int64_t rows = limits.most_rows();
    scales = memory.take<SeriesScale>(limits.batch);
    near = memory.take<T>(rows * Series::reference_count(info));
    decoded = memory.take<T>(rows * info.ahead * info.outputs);
    of_state = memory.take<T>(rows * width), both = memory.take<T>(width);
    ahead = memory.take<T>(std::max(width, info.outputs));
    tokens = memory.take<int64_t>(description.embedding_count);
    quantiles = memory.take<double>(info.levels);
    if (!info.paths) return;
    ends = memory.take<double>(limits.batch * Series::most(info));
    lengths = memory.take<int64_t>(limits.batch), usual = memory.take<double>(limits.batch);
    path_values = memory.take<double>(info.paths * path_room(info));
    path_scales = memory.take<SeriesScale>(info.paths);
    drawn = memory.take<double>(info.horizon * info.paths);
  }

  // Keeps of the series of a row what its forecast reads.
  void keep(int64_t row, const Series &series) {
    const ForecastInfo &info = *description.forecast;
    scales[row] = series.scale();
    if (info.paths) {
      lengths[row] = series.length(), usual[row] = series.usual_change();
      std::copy_n(series.end(), series.length(), ends + row * Series::most(info));
    } else series.references(scales[row], near + row * Series::reference_count(info));
  }

  // The quantiles (B, K, L) from the states (B, H) of the ends of series; `to_come`: (B, K, known).
  void at_once(const void *file, int64_t rows, const T *hidden, const double *to_come, T *output, T *scratch) {
    const ForecastInfo &info = *description.forecast;
    decode(file, rows, hidden, to_come, info.horizon * known_count(), scratch);
    for (int64_t b = 0; b < rows; ++b)
      for (int64_t k = 0; k < info.horizon; ++k) {
        const Predicted<T> predicted(info, decoded + (b * info.horizon + k) * info.outputs);
        for (int64_t l = 0; l < info.levels; ++l) quantiles[l] = scales[b].unscaled(double(predicted.quantile(l)));
        calibrate(info, k, scales[b], quantiles, output + (b * info.horizon + k) * info.levels);
      }
  }

  // The quantiles (K, L) of one row, from P equal states of its end; hidden: (P, H). `step(x)` has the network read
  // x (P, width) and returns its next states.
  template <class Step>
  void along_paths(const void *file, int64_t row, const T *hidden, const double *to_come, T *x, int64_t width,
                   T *output, T *scratch, double *window, Step step) {
    const ForecastInfo &info = *description.forecast;
    const int64_t count = info.paths, room = path_room(info), half = count / 2 + 1;
    const T *const noise = tensor_in<T>(file, info.noise);
    const auto path = [&](int64_t p, int64_t steps) {
      Series series(info, path_values + p * room, window);
      series.begin(path_values + p * room, lengths[row] + steps, usual[row]);
      return series;
    };
    for (int64_t p = 0; p < count; ++p)
      std::copy_n(ends + row * Series::most(info), lengths[row], path_values + p * room);
    for (int64_t k = 0; k < info.horizon; ++k) {
      for (int64_t p = 0; p < count; ++p) {
        const Series series = path(p, k);
        path_scales[p] = series.scale();
        series.references(path_scales[p], near + p * Series::reference_count(info));
      }
      const double *const known = to_come + k * known_count(), *const others = known + description.numbers;
      decode(file, count, hidden, others, 0, scratch);
      for (int64_t p = 0; p < count; ++p) {
        const Predicted<T> predicted(info, decoded + p * info.outputs);
        const T one = !noise ? T(0) : p < half ? noise[p * info.horizon + k] : -noise[(p - half) * info.horizon + k];
        const double value = path_scales[p].unscaled(double(predicted.drawn(one)));
        drawn[k * count + p] = value;
        Series series = path(p, k);
        series.append(value);
        if (k + 1 == info.horizon) continue;
        T *to = series.features(false, x + p * width);
        for (int64_t n = 0; n < description.numbers; ++n) *to++ = T(float(known[n]));
        read_to_come(file, others, tokens, to);
      }
      if (k + 1 < info.horizon) hidden = step(x);
    }
    for (int64_t k = 0; k < info.horizon; ++k) {
      double *const values = drawn + k * count;
      std::sort(values, values + count, in_order);
      for (int64_t l = 0; l < info.levels; ++l) quantiles[l] = quantile_of(values, count, info.levels_at[l]);
      calibrate(info, k, scales[row], quantiles, output + k * info.levels);
    }
  }

private:
  SeriesScale *scales = nullptr, *path_scales = nullptr; // (B), (P)
  T *near = nullptr, *decoded = nullptr, *of_state = nullptr, *both = nullptr, *ahead = nullptr;
  int64_t *tokens = nullptr, *lengths = nullptr;
  double *quantiles = nullptr, *ends = nullptr, *usual = nullptr, *path_values = nullptr, *drawn = nullptr;

  static int64_t path_room(const ForecastInfo &info) { return Series::most(info) + info.horizon; }

  // The numbers (N, ahead, Q) from states (N, H) and `near`; to_come: of each step values and tokens, rows a stride
  // apart.
  void decode(const void *file, int64_t rows, const T *hidden, const double *to_come, int64_t stride, T *scratch) {
    const ForecastInfo &info = *description.forecast;
    const RecurrentInfo &last = description.layers[description.layer_count - 1];
    const int64_t steps = info.ahead, outputs = info.outputs, depth = outputs_width(last), future = info.future;
    const int64_t blended = description.tensors[info.blend].rows, seasonal = info.season > 1;
    const T *const nothing = nullptr;
    const auto tensor = [&](int64_t number) { return tensor_in<T>(file, number); };
    linear(tensor(description.read_out), tensor(description.bias), rows, depth, steps * outputs, hidden, decoded,
           scratch);
    if (future >= 0) linear(tensor(future), tensor(future + 1), rows, depth, depth, hidden, of_state, scratch);
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t k = 0; k < steps; ++k) {
        T *const predicted = decoded + (r * steps + k) * outputs;
        if (future >= 0) {
          read_to_come(file, to_come + r * stride + k * known_count(), tokens, ahead);
          linear(tensor(future + 2), nothing, 1, description.tensors[future + 2].columns, depth, ahead, both, scratch);
          for (int64_t u = 0; u < depth; ++u) both[u] = std::tanh(of_state[r * depth + u] + both[u]);
          linear(tensor(future + 3), nothing, 1, depth, outputs, both, ahead, scratch);
          for (int64_t q = 0; q < outputs; ++q) predicted[q] += ahead[q];
        }
        const T *const own = near + r * Series::reference_count(info), *const weights = tensor(info.blend);
        T located = 0;
        for (int64_t n = 0; n < blended - seasonal; ++n) located += own[n] * weights[n * steps + k];
        if (seasonal) located += own[blended - 1 + k] * weights[(blended - 1) * steps + k];
        for (int64_t q = 0; q < info.located; ++q) predicted[q] += located;
      }
  }
};

} // namespace gatewise
