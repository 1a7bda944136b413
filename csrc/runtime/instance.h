// An instance of the model: its memory, and the calls that go through it.
//
// `description` is the constant that was emitted for this model, so the compiler omits what the model does not
// have.
#pragma once

#include "runtime/compaction.h"
#include "runtime/forecast.h"
#include "runtime/functions.h"
#include "runtime/heads.h"
#include "runtime/threads.h"

#include <cstdarg>
#include <cstdio>
#include <new>
#include <optional>

namespace gatewise {

using Number = model_number;

class Instance : public model_instance {
public:
  explicit Instance(const Limits &limits) : limits(limits) { message[0] = 0; }
  static Limits limits_of(int64_t max_batch, int64_t chunk, int64_t threads) {
    return {max_batch, chunk, threads, description.forecast ? description.forecast->paths : 0};
  }

  // Divides memory among the parts; of none it finds out how much is needed.
  static int64_t divide(const Limits &limits, void *memory, int64_t bytes, Instance **made, const char **message) {
    Carver carver(memory, bytes);
    Instance *const at = carver.take<Instance>(1);
    Recurrence<Number> *const layers = carver.take<Recurrence<Number>>(description.layer_count);
    // Where there is no memory, the parts are planned one after the other.
    Instance unplaced(limits);
    Instance &instance = at ? *new (at) Instance(limits) : unplaced;
    instance.layers = layers;
    int64_t work = 0;
    for (int64_t l = 0; l < description.layer_count; ++l) {
      Recurrence<Number> without;
      Recurrence<Number> &layer = layers ? *new (layers + l) Recurrence<Number>() : without;
      if (!layer.plan(description.layers[l], limits)) {
        *message = "there is no memory, or the engine does not take this model";
        return -MODEL_NO_MEMORY;
      }
      layer.carve(carver, limits);
      work = std::max(work, layer.workspace);
    }
    instance.carve(carver, work);
    if (made) *made = &instance;
    carver.release();
    return carver.needed();
  }

  void begin(const void *file, const model_threads &given) {
    weights = file, threads = given;
    for (int64_t l = 0; l < description.layer_count; ++l) layers[l].begin(description, file);
  }

  int32_t reset() {
    for (int64_t l = 0; l < description.layer_count; ++l) layers[l].forget();
    state_rows = 0;
    return MODEL_OK;
  }

  int32_t get(int64_t rows, const model_results &state) {
    if (const int32_t code = check_state(rows, state.data, state.count)) return code;
    Number *to = state.data;
    for (int64_t l = 0; l < description.layer_count; to += layers[l++].state_size(rows)) layers[l].get(rows, to);
    return MODEL_OK;
  }
  int32_t set(int64_t rows, const model_numbers &state) {
    reset();
    if (const int32_t code = check_state(rows, state.data, state.count)) return code;
    const Number *from = state.data;
    for (int64_t l = 0; l < description.layer_count; from += layers[l++].state_size(rows)) layers[l].set(rows, from);
    state_rows = rows;
    return MODEL_OK;
  }

  int32_t run(const model_call &call, int64_t steps) {
    if (const int32_t code = check(call, steps)) return code;
    if (description.whole) reset();
    state_rows = call.rows;
    for (int64_t first = 0; first < steps; first += limits.chunk)
      if (const int32_t code = run_steps(call, first, std::min(limits.chunk, steps - first))) return code;
    return MODEL_OK;
  }

private:
  const Limits limits;
  const void *weights = nullptr;
  model_threads threads{};
  Recurrence<Number> *layers = nullptr;
  int64_t state_rows = 0; // of the state; 0: zero, for any
  gatewise_dense work{};
  Compaction compaction;
  int64_t *lengths = nullptr;                // (B) of some steps
  Number *values[2] = {}, *scores = nullptr; // (T, B, width) of parts in turn
  Number *scratch = nullptr, *pooled = nullptr, *best = nullptr;
  Number *repeated = nullptr; // the states of the last layer before some steps
  int32_t *origins = nullptr;
  double *filled = nullptr, *window = nullptr; // of a series
  Forecaster<Number> forecaster;
  Number *kept = nullptr; // the states of all layers at the ends of series

  bool reads_from_end() const {
    for (int64_t l = 0; l < description.layer_count; ++l)
      if (description.layers[l].directions == 2 || description.layers[l].reverse) return true;
    return false;
  }
  const RecurrentInfo &last() const { return description.layers[description.layer_count - 1]; }
  static int64_t merged(const RecurrentInfo &layer) {
    return layer.merge == merge_concat ? outputs_width(layer) : output_width(layer);
  }
  int64_t read_width() const { return description.layers[0].input; }
  bool reads_as_given() const { return !description.embedding_count && !description.values && !description.forecast; }
  const Number *tensor(int64_t number) const { return tensor_in<Number>(weights, number); }

  void carve(Carver &memory, int64_t bytes) {
    int64_t width = read_width(), depth = 1;
    for (int64_t l = 0; l < description.layer_count; ++l) {
      const RecurrentInfo &layer = description.layers[l];
      width = std::max(width, outputs_width(layer));
      if (layer.merge == merge_learned) depth = std::max(depth, outputs_width(layer));
    }
    if (description.read_out >= 0) depth = std::max(depth, description.tensors[description.read_out].columns);
    const int64_t places = std::max(limits.chunk * limits.batch, limits.paths);
    work.data = memory.take<std::byte>(bytes), work.count = bytes;
    if (description.masks) compaction.carve(memory, limits);
    if (description.repeats)
      repeated = memory.take<Number>(limits.batch * size_of_states(last(), last().program->state_count));
    lengths = memory.take<int64_t>(limits.batch);
    for (Number *&one : values) one = memory.take<Number>(places * width);
    if (description.pool == pool_attention) depth = std::max(depth, width), scores = memory.take<Number>(places);
    if (description.pool) pooled = memory.take<Number>(limits.batch * width);
    scratch = memory.take<Number>(linear_scratch<Number>(places, depth));
    if (const ForecastInfo *const info = description.forecast) {
      filled = memory.take<double>(limits.chunk), window = memory.take<double>(info->window);
      if (info->paths) kept = memory.take<Number>(limits.batch * description.state);
      forecaster.carve(memory, limits, width);
    }
    if (description.transitions >= 0) {
      best = memory.take<Number>(2 * description.outputs);
      origins = memory.take<int32_t>(limits.chunk * description.outputs);
    }
  }

  [[gnu::format(printf, 3, 4)]] int32_t fail(int32_t code, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    std::vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    return code;
  }

  int32_t check_state(int64_t rows, const void *data, int64_t count) {
    if (rows < 1 || rows > limits.batch)
      return fail(MODEL_BAD_SIZE, "rows: expected 1 to %lld, got %lld", (long long)limits.batch, (long long)rows);
    if (state_rows && state_rows != rows)
      return fail(MODEL_BAD_SIZE, "rows: expected %lld, those of the state, got %lld", (long long)state_rows,
                  (long long)rows);
    return check_buffer("state", data, count, rows * description.state, true);
  }

  int32_t check_buffer(const char *name, const void *data, int64_t count, int64_t expected, bool needed) {
    if (!data && !needed) return MODEL_OK;
    if (!data)
      return expected ? fail(MODEL_BAD_BUFFER, "%s: expected %lld elements, got null", name, (long long)expected)
                      : MODEL_OK;
    if (count >= expected) return MODEL_OK;
    return fail(MODEL_BAD_BUFFER, "%s: expected %lld elements, got %lld", name, (long long)expected, (long long)count);
  }
  int32_t unwanted(const char *name, const char *why) { return fail(MODEL_BAD_BUFFER, "%s: %s", name, why); }

  int32_t check(const model_call &call, int64_t steps) {
    const int64_t rows = call.rows;
    if (rows < 1 || rows > limits.batch)
      return fail(MODEL_BAD_SIZE, "rows: expected 1 to %lld, got %lld", (long long)limits.batch, (long long)rows);
    const bool at_once = description.whole || reads_from_end() || description.pool;
    const int64_t most = at_once ? limits.chunk : int64_t(1) << 40;
    if (steps < 1 || steps > most)
      return fail(MODEL_BAD_SIZE, "steps: expected 1 to %lld, got %lld", (long long)most, (long long)steps);
    if (state_rows && state_rows != rows && !description.whole)
      return fail(MODEL_BAD_SIZE, "rows: expected %lld, those of the state, got %lld; reset the instance before others",
                  (long long)state_rows, (long long)rows);
    int64_t places; // at most 2^60, so that products with the widths below do not overflow
    if (__builtin_mul_overflow(steps, rows, &places) || places > (int64_t(1) << 40))
      return fail(MODEL_BAD_SIZE, "steps: expected at most %lld, got %lld", (long long)((int64_t(1) << 40) / rows),
                  (long long)steps);
    const int64_t answers = description.pool ? rows : places;
    const struct {
      const char *name;
      const void *data;
      int64_t count, expected;
      bool needed;
    } buffers[] = {
        {"numbers", call.numbers.data, call.numbers.count, places * description.numbers, true},
        {"values", call.values.data, call.values.count, places * value_count(), true},
        {"tokens", call.tokens.data, call.tokens.count, places * description.embedding_count, true},
        {"lengths", call.lengths.data, call.lengths.count, rows, false},
        {"reset", call.reset.data, call.reset.count, places, false},
        {"mask", call.mask.data, call.mask.count, places, false},
        {"output", call.output.data, call.output.count, answers * description.outputs, true},
        {"softmax", call.softmax.data, call.softmax.count, answers * description.outputs, false},
        {"answers", call.answers.data, call.answers.count, answers, false},
        {"further", call.further.data, call.further.count, rows * further(), true},
    };
    for (const auto &one : buffers)
      if (const int32_t code = check_buffer(one.name, one.data, one.count, one.expected, one.needed)) return code;
    if (call.mask.data && !description.masks) return unwanted("mask", "this model skips no steps; expected null");
    for (int64_t b = 0; call.lengths.data && b < rows; ++b)
      if (call.lengths.data[b] < 0 || call.lengths.data[b] > steps)
        return fail(MODEL_BAD_VALUE, "lengths: expected 0 to %lld, the number of steps, got %lld of row %lld",
                    (long long)steps, (long long)call.lengths.data[b], (long long)b);
    for (int64_t k = 0; k < description.embedding_count; ++k) {
      const int64_t known = description.tensors[description.embeddings[k].tensor].rows;
      for (int64_t place = 0; place < places; ++place) {
        const int64_t token = call.tokens.data[place * description.embedding_count + k];
        if (token < 0 || token >= known)
          return fail(MODEL_BAD_VALUE, "tokens: expected 0 to %lld, got %lld at step %lld of row %lld",
                      (long long)(known - 1), (long long)token, (long long)(place / rows), (long long)(place % rows));
      }
    }
    return description.forecast ? check_forecast(call) : int32_t(MODEL_OK);
  }

  // What a forecast reads of the steps to come.
  int64_t further() const { return description.forecast ? description.forecast->horizon * known_count() : 0; }
  int32_t check_forecast(const model_call &call) {
    const int64_t count = value_count(), known = known_count(), first = known - description.embedding_count;
    for (int64_t b = 0; b < call.rows; ++b) {
      if (call.lengths.data && !call.lengths.data[b])
        return fail(MODEL_BAD_VALUE, "lengths: expected at least 1 of a series, got 0 of row %lld", (long long)b);
      if (call.values.data[b * count] != call.values.data[b * count])
        return fail(MODEL_BAD_VALUE, "values: expected a first value of the series of row %lld, got NaN", (long long)b);
    }
    for (int64_t k = 0; k < description.embedding_count; ++k)
      for (int64_t place = 0; place < call.rows * description.forecast->horizon; ++place) {
        const double token = call.further.data[place * known + first + k];
        if (!(token >= 0 && token < double(description.tensors[description.embeddings[k].tensor].rows)))
          return fail(MODEL_BAD_VALUE, "further: expected a token from 0, got %g", token);
      }
    return MODEL_OK;
  }

  // The steps [first, first + steps) of a call.
  int32_t run_steps(const model_call &call, int64_t first, int64_t steps) {
    const int64_t rows = call.rows, places = steps * rows, offset = first * rows;
    const int64_t *ends = nullptr;
    if (call.lengths.data) {
      for (int64_t b = 0; b < rows; ++b) lengths[b] = std::clamp<int64_t>(call.lengths.data[b] - first, 0, steps);
      ends = lengths;
    }
    const uint8_t *boundaries = call.reset.data ? call.reset.data + offset : nullptr;
    const Number *x =
        reads_as_given() ? call.numbers.data + offset * description.numbers : read(call, offset, steps, rows, ends);
    const bool skips = call.mask.data != nullptr;
    const int64_t *run_ends = ends;
    if (skips) {
      compaction.make(steps, rows, call.mask.data + offset, ends, boundaries);
      for (int64_t l = 0; l < description.layer_count; ++l) layers[l].prepare(rows);
      clear_states(rows, true);
      Number *const moved = values[x == values[0]];
      compaction.move(x, read_width(), moved);
      x = moved, run_ends = compaction.length, boundaries = call.reset.data ? compaction.reset : nullptr;
    }
    const Team team = team_of(threads);
    const int64_t answers = description.pool ? rows : places;
    Number *const output = call.output.data + (description.pool ? 0 : offset * description.outputs);
    const bool ends_with_layers = !description.pool && description.read_out < 0;
    for (int64_t l = 0; l < description.layer_count; ++l) {
      const RecurrentInfo &layer = description.layers[l];
      const bool is_last = l == description.layer_count - 1, merges = layer.merge != merge_concat;
      const int64_t own = output_width(layer), width = outputs_width(layer);
      if (is_last && skips && description.repeats) layers[l].get(rows, repeated);
      Number *to = is_last && ends_with_layers && !merges && !skips ? output : values[x == values[0]];
      const int64_t code = run_layer(l, steps, rows, x, to, run_ends, boundaries, team);
      if (code != GATEWISE_OK) return broken(code);
      x = to;
      if (is_last && skips) {
        to = ends_with_layers && !merges ? output : values[x == values[0]];
        for (int64_t d = 0; d < layer.directions; ++d)
          compaction.restore(x + d * own, width, own, description.repeats != 0, layers[l].reads_from_end(d),
                             description.repeats ? repeated + d * rows * own : nullptr, to + d * own, width);
        x = to;
      }
      if (merges) {
        to = is_last && ends_with_layers ? output : values[x == values[0]];
        merge(layer, places, x, tensor(layer.merge_weight), tensor(layer.merge_bias), to, scratch);
        if (layer.merge == merge_learned)
          clear_invalid(steps, rows, skips && is_last ? ends : run_ends,
                        skips && is_last && !description.repeats ? call.mask.data + offset : nullptr, own, to);
        x = to;
      }
    }
    if (skips) clear_states(rows, false);
    if (description.pool) x = pool(steps, rows, ends, x);
    if (description.forecast) {
      if (const int32_t code = forecast(call, rows, x, output, team)) return code;
    } else if (description.read_out >= 0) {
      const TensorInfo &shape = description.tensors[description.read_out];
      linear(tensor(description.read_out), tensor(description.bias), answers, shape.columns, shape.rows, x, output,
             scratch);
    } else if (description.pool) std::copy_n(x, answers * description.outputs, output);
    answer(call, description.pool ? 0 : offset, steps, rows, ends, output);
    return MODEL_OK;
  }

  // What the first layer reads of some steps: of a series, numbers as they are, values, tokens.
  const Number *read(const model_call &call, int64_t offset, int64_t steps, int64_t rows, const int64_t *ends) {
    const int64_t width = read_width(), given = value_count();
    for (int64_t b = 0; b < rows; ++b) {
      std::optional<SeriesReader> series;
      if (description.forecast) series.emplace(*description.forecast, filled, window);
      for (int64_t t = 0; t < steps; ++t) {
        const int64_t place = offset + t * rows + b;
        Number *to = values[0] + (t * rows + b) * width;
        if (series && ends && t >= ends[b]) {
          std::fill_n(to, width, Number(0));
          continue;
        }
        const double *from = call.values.data + place * given;
        if (series) to = series->read(*from++, to);
        if (description.numbers)
          to = std::copy_n(call.numbers.data + place * description.numbers, description.numbers, to);
        read_known(weights, from, call.tokens.data + place * description.embedding_count, to);
      }
      if (series) forecaster.keep(b, *series);
    }
    return values[0];
  }

  // The quantiles (B, K, L) of the steps to come, from the states (B, H) at the ends of series.
  int32_t forecast(const model_call &call, int64_t rows, const Number *hidden, Number *output, Team team) {
    const ForecastInfo &info = *description.forecast;
    if (!info.paths) {
      forecaster.at_once(weights, rows, hidden, call.further.data, output, scratch);
      return MODEL_OK;
    }
    const int64_t width = outputs_width(last()), of_row = info.horizon * known_count();
    int64_t failed = GATEWISE_OK;
    Number *kept_of_layer = kept;
    for (int64_t l = 0; l < description.layer_count; kept_of_layer += layers[l++].state_size(rows))
      layers[l].get(rows, kept_of_layer);
    for (int64_t b = 0; b < rows; ++b) {
      const Number *from = kept;
      for (int64_t l = 0; l < description.layer_count; from += layers[l++].state_size(rows))
        layers[l].repeat(rows, from, b, info.paths);
      for (int64_t p = 0; p < info.paths; ++p) std::copy_n(hidden + b * width, width, values[1] + p * width);
      forecaster.along_paths(weights, b, values[1], call.further.data + b * of_row, values[0], read_width(),
                             output + b * description.outputs, scratch, window, [&](const Number *x) {
                               for (int64_t l = 0; l < description.layer_count; ++l) {
                                 Number *const to = values[x == values[0]];
                                 const int64_t code = run_layer(l, 1, info.paths, x, to, nullptr, nullptr, team);
                                 if (code != GATEWISE_OK) failed = code;
                                 x = to;
                               }
                               return x;
                             });
    }
    const Number *from = kept;
    for (int64_t l = 0; l < description.layer_count; from += layers[l++].state_size(rows)) layers[l].set(rows, from);
    return failed == GATEWISE_OK ? int32_t(MODEL_OK) : broken(failed);
  }
  int32_t broken(int64_t code) { return fail(MODEL_BROKEN, "the engine returned code %lld", (long long)code); }

  // The steps of a layer, to all of its outputs; a code of the engine.
  int64_t run_layer(int64_t l, int64_t steps, int64_t rows, const Number *x, Number *to, const int64_t *ends,
                    const uint8_t *boundaries, Team team) {
    const RecurrentInfo &layer = description.layers[l];
    const int64_t places = steps * rows, width = outputs_width(layer);
    return layers[l].run(steps, rows, {const_cast<Number *>(x), places * layer.input, rows * layer.input, layer.input},
                         {to, places * width, rows * width, width}, ends, boundaries, work, team);
  }

  // A boundary after the last valid step zeroes the states of that end.
  void clear_states(int64_t rows, bool from_end) {
    for (int64_t l = 0; l < description.layer_count; ++l) layers[l].clear(rows, compaction.resets_at_end, from_end);
  }

  static void clear_invalid(int64_t steps, int64_t rows, const int64_t *ends, const uint8_t *mask, int64_t width,
                            Number *to) {
    for (int64_t t = 0; t < steps; ++t)
      for (int64_t b = 0; b < rows; ++b)
        if ((ends && t >= ends[b]) || (mask && !mask[t * rows + b]))
          std::fill_n(to + (t * rows + b) * width, width, Number(0));
  }

  const Number *pool(int64_t steps, int64_t rows, const int64_t *ends, const Number *x) {
    const RecurrentInfo &layer = last();
    const int64_t own = output_width(layer), width = merged(layer);
    if (description.pool == pool_last) {
      const Recurrence<Number> &of = layers[description.layer_count - 1];
      for (int64_t b = 0; b < rows; ++b)
        for (int64_t d = 0; d < layer.directions; ++d)
          std::copy_n(of.first_state(rows, d) + b * own, own, pooled + (b * layer.directions + d) * own);
      return pooled;
    }
    if (description.pool == pool_attention) {
      Number *const hidden = values[x == values[0]];
      const int64_t at = description.attention, places = steps * rows;
      linear(tensor(at), tensor(at + 1), places, width, width, x, hidden, scratch);
      for (int64_t k = 0; k < places * width; ++k) hidden[k] = std::tanh(hidden[k]);
      linear(tensor(at + 2), static_cast<const Number *>(nullptr), places, width, 1, hidden, scores, scratch);
      for (int64_t b = 0; b < rows; ++b)
        if (const int64_t count = ends ? ends[b] : steps) softmax(scores + b, count, rows, scores + b);
    }
    pool_steps(description.pool, steps, rows, width, ends, x, scores, pooled);
    return pooled;
  }

  // Softmax and best classes of scores; of `output` from the place `offset` of the call's buffers.
  void answer(const model_call &call, int64_t offset, int64_t steps, int64_t rows, const int64_t *ends,
              const Number *output) {
    const int64_t count = description.outputs, answers = description.pool ? rows : steps * rows;
    for (int64_t k = 0; call.softmax.data && k < answers; ++k)
      softmax(output + k * count, count, 1, call.softmax.data + (offset + k) * count);
    if (!call.answers.data) return;
    int64_t *const to = call.answers.data + offset;
    for (int64_t k = 0; k < answers; ++k) to[k] = best_of(output + k * count, count);
    for (int64_t b = 0; description.transitions >= 0 && b < rows; ++b)
      viterbi(output + b * count, rows * count, ends ? ends[b] : steps, count, tensor(description.transitions), best,
              origins, to + b, rows);
  }
};

} // namespace gatewise
