// The engine, built once for each instruction set.
#include "forward.h"
#ifndef GATEWISE_INFERENCE
#include "backward.h"
#endif
#include "check.h"

namespace gatewise {
namespace {

// States but the first that have this width.
int64_t further_states(const Program &program, Size size) {
  return std::count(program.states + 1, program.states + program.state_count, size);
}
template <class T> int64_t saved_size(const Layer<T> &layer) {
  return layer.program.saved_blocks * layer.hidden + layer.width_of_states(1, layer.states) +
         layer.program.saved_row_values + layer.program.saved_projections * layer.projection;
}

// Of all directions.
int64_t output_width(const gatewise_call &c) {
  const Program &program = *static_cast<const Program *>(c.program);
  return c.directions * (program.states[0] == size_projection ? c.projection_size : c.hidden_size);
}

// Layer `l` of a call; `between`: where the outputs of all but the last one are stored, in turn.
template <class T> Layer<T> layer_of(const gatewise_call &c, int64_t l = 0, T *const *between = nullptr) {
  const Program &program = *static_cast<const Program *>(c.program);
  const int64_t width = output_width(c), count = c.steps * c.rows * width;
  const auto inner = [&](int64_t k) { return gatewise_sequence{between[k % 2], count, c.rows * width, width}; };
  return {program,
          c.steps,
          c.rows,
          l ? width : c.input_size,
          c.hidden_size,
          c.directions,
          program.state_count,
          program.group_count,
          is_projected(program) ? c.projection_size : 0,
          is_divided(program) ? c.heads : 1,
          c.reverse != 0,
          c.reset.data != nullptr,
          c.threads,
          c.workers,
          c.share_small != 0,
          c.precision,
          c.pool,
          c.seconds,
          c.team,
          l ? inner(l - 1) : c.x,
          l < c.layers - 1 ? inner(l) : c.output,
          c.states,
          l * c.directions,
          c.parameters + l * c.directions * program.group_count,
          c.masks,
          uint64_t(c.mask_seed),
          c.mask_stream + l * c.directions,
          c.mask_step};
}

// Multiply-adds of a step, forward; one backward is at most about twice that.
template <class T> int64_t work_of_step(const Layer<T> &layer) {
  const Program &program = layer.program;
  const int64_t each = program.input_count * layer.input + elementwise_cost; // unit
  return layer.directions * layer.rows * (weight_count(layer, program.forward) + layer.hidden * each);
}

// The steps of a call in parts: segments between checkpoints, and within them no more steps than a chunk has.
struct Parts {
  int64_t steps, segment, chunk; // steps of all, of a segment, of a part
  Parts(int64_t steps, int64_t checkpoint, int64_t chunk, int64_t work_of_step)
      : steps(steps), segment(checkpoint ? std::min(checkpoint, steps) : steps),
        chunk(std::min(segment, chunk ? std::max<int64_t>(1, chunk / std::max<int64_t>(1, work_of_step)) : steps)) {}
  int64_t per_segment() const { return (segment + chunk - 1) / chunk; }
  int64_t segments() const { return (steps + segment - 1) / segment; }
  int64_t count() const { return segments() * per_segment(); }
  int64_t segment_begin(int64_t k) const { return k * segment; }
  int64_t segment_end(int64_t k) const { return std::min(steps, (k + 1) * segment); }
  int64_t begin(int64_t part) const {
    const int64_t k = part / per_segment();
    return std::min(segment_end(k), k * segment + part % per_segment() * chunk);
  }
  int64_t end(int64_t part) const {
    const int64_t k = part / per_segment();
    return std::min(segment_end(k), k * segment + (part % per_segment() + 1) * chunk);
  }
};

// The plan shared by both passes of a layer: the order of its rows, and the boundaries.
template <class T> struct Prepared {
  RowOrder order;
  uint8_t *cut[2] = {nullptr, nullptr};

  Prepared(const gatewise_call &c, const Layer<T> &layer)
      : order(c.steps, c.rows, static_cast<const int64_t *>(c.lengths.data)), reset(c.reset), layer(layer) {}
  void take(Carver &work) {
    order.take(work);
    for (int64_t d = 0; reset.data && d < layer.directions; ++d)
      cut[d] = work.take<uint8_t>((layer.steps + 1) * layer.rows);
  }
  void make() const {
    order.make();
    for (int64_t d = 0; reset.data && d < layer.directions; ++d)
      cut_rows(order, layer.reads_backward(d), static_cast<const uint8_t *>(reset.data), reset.step_stride,
               reset.row_stride, cut[d]);
  }

private:
  const gatewise_sequence &reset;
  const Layer<T> &layer;
};

// Whether the caller's packed weights can be used; otherwise the bytes and layout required.
int64_t check_weights(gatewise_call &c, const Carver &weights, int64_t layout) {
  if (!c.weights.data) return GATEWISE_OK;
  if (c.weights_layout == layout && weights.fits()) return GATEWISE_OK;
  c.weights_layout = layout, c.needed = weights.needed();
  return GATEWISE_NEEDS_WEIGHTS;
}
int64_t check_workspace(gatewise_call &c, const Carver &work) {
  if (work.fits()) return GATEWISE_OK;
  c.needed = work.needed();
  return GATEWISE_NEEDS_WORKSPACE;
}

// A state after each step, in the caller's order: (T, B, H) of one direction.
template <class T>
void copy_state(const Layer<T> &layer, const RowOrder &order, int64_t d, int64_t state, int64_t begin, int64_t end,
                const Sequences<T> &sequences, T *to, int64_t step_stride, int64_t row_stride) {
  const bool reverse = layer.reads_backward(d);
  const int64_t first = order.first_place(begin, end, reverse) - sequences.origin, width = layer.state_width(state);
  const int64_t before = layer.width_of_states(1, state);
  const T *const output = static_cast<const T *>(layer.output.data) + d * layer.output_width();
  order.each(begin, end, reverse, [&](int64_t place, int64_t time, int64_t row) {
    const T *const from = state == 0 ? output + time * layer.output.step_stride + row * layer.output.row_stride
                                     : sequences.states + (first + place) * sequences.stride + before;
    std::copy_n(from, width, to + time * step_stride + row * row_stride);
  });
}

// The states that observers and the caller get of the steps [begin, end).
template <class T>
void copy_states(const gatewise_call &c, const Layer<T> &layer, const RowOrder &order, int64_t d, int64_t begin,
                 int64_t end, const Sequences<T> &sequences) {
  T *values = static_cast<T *>(c.state_values.data);
  if (values) values += d * layer.steps * layer.rows * layer.width_of_states();
  for (int64_t s = 0; s < layer.states; ++s) {
    const int64_t row = layer.state_width(s), step = layer.rows * row;
    const auto copy = [&](T *to, int64_t step_stride, int64_t row_stride) {
      copy_state(layer, order, d, s, begin, end, sequences, to, step_stride, row_stride);
    };
    if (values) copy(values, step, row), values += layer.steps * step;
    const gatewise_sequence &own = layer.states_of[s].sequence;
    if (own.data) copy(static_cast<T *>(own.data) + d * row, own.step_stride, own.row_stride);
  }
}
bool shows_states(const gatewise_call &c) {
  bool shown = c.state_values.data != nullptr;
  for (int64_t s = 1; s < static_cast<const Program *>(c.program)->state_count; ++s)
    shown |= !!c.states[s].sequence.data;
  return shown;
}

template <class T> int64_t forward_pass(gatewise_call &c) {
  Carver held(c.weights.data, c.weights.count), work(c.workspace.data, c.workspace.count);
  const Layer<T> layer = layer_of<T>(c);
  Prepared<T> prepared(c, layer);
  if (prepared.order.places < 0) return GATEWISE_BAD_LENGTH;
  prepared.take(work);
  const Program &program = layer.program;
  const Parts parts(c.steps, c.checkpoint, c.chunk, work_of_step(layer));
  Carver &weights = c.weights.data ? held : work;
  Forward<T> forward(layer, prepared.order, prepared.cut, parts.chunk, !c.weights.data, weights, work);
  const int64_t saved_width = saved_size(layer), others = layer.width_of_states(1, layer.states);
  Sequences<T> sequences[2];
  const int64_t room = saved_width && c.saved.data ? c.saved.count / (layer.directions * saved_width) : 0;
  if (c.saved.data && saved_width && room < prepared.order.places) return short_buffer(c, "saved");
  for (int64_t d = 0; d < layer.directions; ++d) {
    Sequences<T> &own = sequences[d];
    if (c.saved.data) {
      own.saved = static_cast<T *>(c.saved.data) + d * room * saved_width;
      own.states = own.saved + program.saved_blocks * layer.hidden, own.stride = saved_width;
    } else if (shows_states(c) && others)
      own.states = work.take<T>(prepared.order.places * others), own.stride = others;
  }
  if (const int64_t code = check_weights(c, held, forward.layout())) return code;
  if (const int64_t code = check_workspace(c, work)) return code;

  forward.prepare();
  if (c.position == 0) {
    prepared.make();
    if (!c.weights.data || !c.weights_filled) forward.pack();
    for (int64_t d = 0; c.saved.data && d < layer.directions; ++d) // the same run gives the same bits
      std::fill_n(sequences[d].saved + prepared.order.places * saved_width,
                  (room - prepared.order.places) * saved_width, T(0));
  }
  const int64_t segment_size = layer.rows * layer.width_of_states();
  const auto keep_boundary = [&](int64_t segment) {
    for (int64_t d = 0; c.checkpoint && d < layer.directions; ++d)
      for (int64_t s = 0; s < layer.states; ++s)
        forward.state_before(d, parts.segment_begin(segment), s, sequences[d],
                             static_cast<T *>(c.boundaries.data) + (d * parts.segments() + segment) * segment_size +
                                 layer.rows * layer.width_of_states(0, s));
  };
  const int64_t part = c.position, begin = parts.begin(part), end = parts.end(part);
  if (begin < end) {
    if (part % parts.per_segment() == 0) keep_boundary(part / parts.per_segment());
    forward.run(begin, end, sequences);
    for (int64_t d = 0; d < layer.directions; ++d) copy_states(c, layer, prepared.order, d, begin, end, sequences[d]);
  }
  if (++c.position < parts.count()) return GATEWISE_MORE;
  clear_padding<T>(prepared.order, layer.directions * layer.output_width(), layer.output);
  for (int64_t s = 1; s < layer.states; ++s)
    if (const gatewise_sequence &own = c.states[s].sequence; own.data)
      clear_padding<T>(prepared.order, layer.directions * layer.state_width(s), own);
  return GATEWISE_OK;
}

#ifndef GATEWISE_INFERENCE

// One layer after the other, where nothing is saved and nothing stands between them.
template <class T> int64_t forward_stack(gatewise_call &c) {
  struct Stacked {
    Layer<T> layer;
    Forward<T> forward;
    Stacked(const gatewise_call &c, int64_t l, T *const *between, const Prepared<T> &prepared, int64_t most_steps,
            Carver &weights, Carver &work)
        : layer(layer_of<T>(c, l, between)),
          forward(layer, prepared.order, prepared.cut, most_steps, !c.weights.data, weights, work) {}
  };
  Carver held(c.weights.data, c.weights.count), work(c.workspace.data, c.workspace.count);
  T *between[2] = {nullptr, nullptr};
  const Layer<T> first = layer_of<T>(c, 0, between);
  Prepared<T> prepared(c, first);
  if (prepared.order.places < 0) return GATEWISE_BAD_LENGTH;
  prepared.take(work);
  for (int64_t k = 0; k < std::min<int64_t>(2, c.layers - 1); ++k)
    between[k] = work.take<T>(c.steps * c.rows * output_width(c));
  const int64_t work_of_steps = std::max(work_of_step(first), work_of_step(layer_of<T>(c, 1, between)));
  const Parts parts(c.steps, 0, c.chunk ? std::max<int64_t>(1, c.chunk / c.layers) : 0, work_of_steps);
  // The layers use the same part of the workspace in turn, and tables are written to it when a layer is planned: so
  // others than the one that is run are planned without memory.
  std::optional<Stacked> one;
  Carver nowhere(nullptr, 0);
  const int64_t mark = work.mark();
  const auto plan = [&](int64_t l, Carver &memory) {
    memory.rewind(mark);
    one.emplace(c, l, between, prepared, parts.chunk, c.weights.data ? held : memory, memory);
  };
  for (int64_t l = 0; l < c.layers; ++l) plan(l, nowhere);
  work.reserve(nowhere);
  if (const int64_t code = check_weights(c, held, one->forward.layout() + c.layers * 4096)) return code;
  if (const int64_t code = check_workspace(c, work)) return code;

  if (c.position == 0) prepared.make();
  held.rewind(0);
  const Sequences<T> sequences[2];
  for (int64_t l = 0; l < c.layers; ++l) {
    const int64_t part = c.position - l * parts.count();
    plan(l, part < parts.count() ? work : nowhere);
    if (part >= parts.count()) continue;
    one->forward.prepare();
    if (part == 0 && (!c.weights.data || !c.weights_filled)) one->forward.pack();
    if (parts.begin(part) < parts.end(part)) one->forward.run(parts.begin(part), parts.end(part), sequences);
    if (++c.position < c.layers * parts.count() && parts.count() > 1) return GATEWISE_MORE;
  }
  clear_padding<T>(prepared.order, output_width(c), c.output);
  return GATEWISE_OK;
}

template <class T> int64_t backward_pass(gatewise_call &c) {
  Carver held(c.weights.data, c.weights.count), work(c.workspace.data, c.workspace.count);
  const Layer<T> layer = layer_of<T>(c);
  Prepared<T> prepared(c, layer);
  if (prepared.order.places < 0) return GATEWISE_BAD_LENGTH;
  prepared.take(work);
  const RowOrder &order = prepared.order;
  const Program &program = layer.program;
  const Parts parts(c.steps, c.checkpoint, c.chunk, 2 * work_of_step(layer));
  const bool again = c.checkpoint != 0;
  const int64_t saved_width = saved_size(layer);
  const int64_t room = again         ? order.most_places(parts.segment)
                       : saved_width ? c.saved.count / (layer.directions * saved_width)
                                     : 0;
  if (!again && saved_width && order.places && (!c.saved.data || room < order.places)) return short_buffer(c, "saved");
  const Upstream<T> upstream{c.output_gradient,
                             c.x_gradient,
                             (c.accumulate & 1) != 0,
                             (c.accumulate & 2) != 0,
                             static_cast<double *>(c.norms.data),
                             static_cast<T *>(c.state_gradients.data)};
  Carver &weights = c.weights.data ? held : work;
  Backward<T> backward(layer, order, prepared.cut, parts.chunk, upstream, weights, work);
  std::optional<Forward<T>> forward;
  if (again) forward.emplace(layer, order, prepared.cut, parts.chunk, false, weights, work);
  T *saved = static_cast<T *>(c.saved.data), *output = nullptr;
  if (again) {
    saved = work.take<T>(layer.directions * room * saved_width);
    output = work.take<T>(layer.directions * room * layer.output_width());
  }
  if (const int64_t code = check_weights(c, held, backward.layout() * 64 + (again ? forward->layout() : 0)))
    return code;
  if (const int64_t code = check_workspace(c, work)) return code;

  backward.prepare();
  if (again) forward->prepare();
  const bool in_parts = parts.count() > 1;
  if (c.position == 0) {
    prepared.make();
    if (!c.weights.data || !c.weights_filled) {
      backward.pack();
      if (again) forward->pack();
    }
    backward.begin(in_parts);
  }
  // From the last segment to the first; each forward once more, if it was not saved, and then backward.
  const int64_t each = parts.per_segment(), of_segment = again ? 2 * each : each;
  const int64_t segment = parts.segments() - 1 - c.position / of_segment, within = c.position % of_segment;
  const bool recompute = again && within < each;
  const int64_t part = segment * each + (recompute ? within : of_segment - 1 - within);
  const int64_t begin = parts.begin(part), end = parts.end(part);
  Sequences<T> sequences[2];
  for (int64_t d = 0; d < layer.directions; ++d) {
    Sequences<T> &own = sequences[d];
    own.saved = saved + d * room * saved_width;
    own.states = own.saved + program.saved_blocks * layer.hidden, own.stride = saved_width;
    if (!again) continue;
    own.output = output + d * room * layer.output_width();
    own.first = parts.segment_begin(segment);
    own.origin = order.first_place(own.first, parts.segment_end(segment), layer.reads_backward(d));
    own.before = static_cast<const T *>(c.boundaries.data) +
                 (d * parts.segments() + segment) * layer.rows * layer.width_of_states();
  }
  if (begin < end) {
    if (recompute) forward->run(begin, end, sequences);
    else backward.run(begin, end, sequences, in_parts);
  }
  if (++c.position < parts.segments() * of_segment) return GATEWISE_MORE;
  backward.end();
  return GATEWISE_OK;
}

#endif // GATEWISE_INFERENCE

bool is_empty(const gatewise_call &c) { return c.rows == 0 || c.steps == 0; }

} // namespace
} // namespace gatewise

using namespace gatewise;

GATEWISE_EXPORT int64_t gatewise_abi() { return GATEWISE_ABI; }

// K: blocks of H units that a row of `saved` has.
GATEWISE_EXPORT int64_t gatewise_saved_blocks(const void *program) {
  const Program &own = *static_cast<const Program *>(program);
  return own.saved_blocks + further_states(own, size_hidden);
}

// Of P units.
GATEWISE_EXPORT int64_t gatewise_saved_projections(const void *program) {
  const Program &own = *static_cast<const Program *>(program);
  return own.saved_projections + further_states(own, size_projection);
}

// And of single values.
GATEWISE_EXPORT int64_t gatewise_saved_row_values(const void *program) {
  return static_cast<const Program *>(program)->saved_row_values;
}

GATEWISE_EXPORT int64_t gatewise_forward(gatewise_call *c) {
  if (!is_of_this_build(c)) return GATEWISE_BAD_ABI;
  if (!has_sizes(c, false)) return GATEWISE_BAD_SIZE;
  if (is_empty(*c)) return GATEWISE_OK;
  if (const int64_t code = check(*c, false)) return code;
#ifdef GATEWISE_INFERENCE
  using Number = GATEWISE_INFERENCE;
  return c->dtype == sizeof(Number) && c->layers == 1 ? forward_pass<Number>(*c) : int64_t(GATEWISE_BAD_SIZE);
#else
  if (c->layers > 1) return c->dtype == sizeof(float) ? forward_stack<float>(*c) : forward_stack<double>(*c);
  return c->dtype == sizeof(float) ? forward_pass<float>(*c) : forward_pass<double>(*c);
#endif
}

#ifndef GATEWISE_INFERENCE

GATEWISE_EXPORT int64_t gatewise_backward(gatewise_call *c) {
  if (!is_of_this_build(c)) return GATEWISE_BAD_ABI;
  if (!has_sizes(c, true)) return GATEWISE_BAD_SIZE;
  if (is_empty(*c)) return GATEWISE_OK;
  if (const int64_t code = check(*c, true)) return code;
  return c->dtype == sizeof(float) ? backward_pass<float>(*c) : backward_pass<double>(*c);
}

// Update norms of an optimiser step. Denormal numbers count, since vanishing gradients are measured.
GATEWISE_EXPORT void gatewise_measure_f32(const Change<float> *changes, int64_t count, int64_t slices,
                                          gatewise_pool pool) {
  Changes<float> all{changes, count, slices};
  spread<Nothing>(all, slices, slices, pool);
}
GATEWISE_EXPORT void gatewise_measure_f64(const Change<double> *changes, int64_t count, int64_t slices,
                                          gatewise_pool pool) {
  Changes<double> all{changes, count, slices};
  spread<Nothing>(all, slices, slices, pool);
}

// The product of a matrix and a mask; see `MaskedMatrix`.
GATEWISE_EXPORT void gatewise_mask_f32(const MaskedMatrix<float> *masked, gatewise_pool pool) {
  MaskedMatrix<float> own = *masked;
  spread<Nothing>(own, own.slices, own.slices, pool);
}
GATEWISE_EXPORT void gatewise_mask_f64(const MaskedMatrix<double> *masked, gatewise_pool pool) {
  MaskedMatrix<double> own = *masked;
  spread<Nothing>(own, own.slices, own.slices, pool);
}

#endif

// The widest instruction set that this processor runs, in vector bytes.
GATEWISE_EXPORT int64_t gatewise_vector_bytes() {
#ifdef __x86_64__
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("fma"))
    return 64;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return 32;
#endif
  return 16;
}
