// The forward pass of a layer: products with x, then the time loop.
#pragma once

#include "gather.h"
#include "input_bytes.h"
#include "weights.h"

#include <new>
#include <optional>

namespace gatewise {

// Where the sequences of a run of one direction are stored.
template <class T> struct Sequences {
  T *saved = nullptr;        // values saved for backward; null: not saved
  T *states = nullptr;       // the states but the first, block after block; null: not saved
  T *output = nullptr;       // the first state by place, (N, H); null: it is in the caller's output
  int64_t stride = 0;        // of `saved` and `states`
  int64_t origin = 0;        // the place with which they begin
  int64_t first = 0;         // and the step
  const T *before = nullptr; // (S, B, H), each of its width: the states before that step; null: the initial ones
};

// The rows of a sequence of the caller's, from one of its features on.
template <class T> Array<T> caller_rows_of(const gatewise_sequence &sequence, int64_t feature) {
  Array<T> array{};
  array.kind = caller_rows, array.base = static_cast<T *>(sequence.data) + feature;
  array.step_stride = sequence.step_stride, array.stride = sequence.row_stride;
  return array;
}

// Where a state is stored before or after a step, when it is saved for all steps; `before`: the initial one, (B, H).
template <class T>
Array<T> state_array(const Layer<T> &layer, int64_t d, const ArrayInfo &info, const Sequences<T> &sequences,
                     const T *before) {
  const bool previous = info.role == role_previous_state;
  Array<T> array{};
  const int64_t width = layer.state_width(info.index);
  array.first = sequences.first, array.other = const_cast<T *>(before), array.other_stride = width;
  if (info.index == 0 && !sequences.output) {
    array.kind = previous ? caller_rows_previous : caller_rows;
    array.base = static_cast<T *>(layer.output.data) + d * width;
    array.step_stride = layer.output.step_stride, array.stride = layer.output.row_stride;
  } else {
    array.kind = previous ? sequence_previous : sequence, array.origin = sequences.origin;
    array.base = info.index == 0 ? sequences.output : sequences.states + layer.width_of_states(1, info.index);
    array.stride = info.index == 0 ? width : sequences.stride;
  }
  return array;
}

template <class T> int64_t row_width(const Layer<T> &layer, const ArrayInfo &info) {
  return info.blocks * layer.size(info.size);
}

// Where values are saved: blocks of H units, the states, the values that a row has once, and blocks of P units.
template <class T>
Array<T> saved_values(const Layer<T> &layer, const ArrayInfo &info, const Sequences<T> &sequences) {
  Array<T> array{};
  if (!sequences.saved) return array;
  array.kind = sequence, array.stride = sequences.stride, array.origin = sequences.origin;
  array.base = sequences.saved;
  if (info.role == role_saved && info.size == size_hidden) return array;
  array.base += layer.program.saved_blocks * layer.hidden + layer.width_of_states(1, layer.states);
  if (info.role == role_saved) array.base += layer.program.saved_row_values;
  return array;
}

// The steps [begin, end) of one direction; its arrays and sums are the pass's own.
template <class T, class Direction>
Job<T> job_of(const Layer<T> &layer, const RowOrder &order, const PassInfo &pass, const Direction &own, int64_t d,
              int64_t begin, int64_t end, const uint8_t *cut, int64_t registers, const Split &shares) {
  Job<T> job{};
  job.steps = layer.steps, job.rows = layer.rows, job.hidden = layer.hidden, job.projection = layer.projection;
  job.reverse = layer.reads_backward(d), job.begin = begin, job.end = end;
  job.at = order.at, job.active = order.active, job.length = order.length, job.caller = order.caller;
  job.cut = cut;
  job.blocks = registers;
  job.stages = own.weights.stages, job.stage_count = pass.stage_count;
  job.arrays = own.arrays, job.array_count = pass.array_count;
  job.vectors = own.weights.read;
  job.finals = own.finals, job.final_count = layer.states;
  job.zeros = own.weights.zeros;
  job.split_units = shares.units;
  return job;
}

// The masks of one direction, (masks, rows, hidden); of a projection they are at the beginning of their place.
template <class T> struct Masks {
  T *values;
  MaskJob<T> *jobs;

  Masks(const Layer<T> &layer, Carver &work)
      : values(work.take<T>(layer.program.mask_count * layer.rows * layer.hidden)),
        jobs(work.take<MaskJob<T>>(layer.program.mask_count)) {}
  void describe(const Layer<T> &layer, int64_t d, Job<T> &job) const {
    for (int64_t k = 0; k < layer.program.mask_count; ++k) {
      const MaskInfo &info = layer.program.masks[k];
      const gatewise_mask &given = layer.masks[k];
      const MaskKey key{layer.mask_seed, uint32_t(layer.mask_stream + d), uint32_t(info.key)};
      jobs[k] = {values + k * layer.rows * layer.hidden,
                 key,
                 info.each_step != 0,
                 uint64_t(given.threshold),
                 T(given.kept),
                 layer.size(info.size),
                 info.size == size_projection};
    }
    job.masks = jobs, job.mask_count = layer.program.mask_count, job.mask_step = layer.mask_step;
  }
  Array<T> array(const Layer<T> &layer, int64_t k) const {
    Array<T> found{};
    found.kind = per_row, found.base = values + k * layer.rows * layer.hidden;
    found.stride = layer.size(layer.program.masks[k].size);
    return found;
  }
};

// The directions of a layer in parallel, each on `slices` threads.
template <class T> struct Loops {
  const Job<T> *jobs;
  int64_t job_count, slices, scratch_bytes;
  Barrier *barriers;
  std::byte *scratch;

  void run(int64_t begin, int64_t end) {
    for (int64_t j = 0; j < job_count; ++j) {
      const int64_t from = std::max(begin, j * slices), to = std::min(end, (j + 1) * slices);
      // Slices of units meet in every step, so one participant runs all of its own at once. Slices of rows never do:
      // run in sequence they give the same bits on any worker.
      for (int64_t next, k = from; k < to; k = next) {
        next = jobs[j].split_units ? to : k + 1;
        Share<T>(jobs[j], k - j * slices, next - j * slices, slices, barriers[j], scratch + k * scratch_bytes).run();
      }
    }
  }
};
template <class T>
void run_loops(const Layer<T> &layer, const Job<T> *jobs, const Split &shares, Barrier *barriers, std::byte *scratch,
               int64_t scratch_bytes) {
  for (int64_t d = 0; d < layer.directions; ++d) new (barriers + d) Barrier(shares.slices);
  Loops<T> loops{jobs, layer.directions, shares.slices, scratch_bytes, barriers, scratch};
  spread(loops, layer.directions * shares.slices, layer);
}

template <class T> class Forward {
public:
  Forward(const Layer<T> &layer, const RowOrder &order, uint8_t *const *cut, int64_t most_steps, bool may_be_in_place,
          Carver &weights, Carver &work)
      : layer(layer), order(order), cut(cut), pass(layer.program.forward),
        zero_state(work.take<T>(layer.rows * layer.hidden)) {
    shares = split(layer.rows, layer.steps, weight_count(layer, pass), layer.directions, layer.threads,
                   layer.share_small, has_sums(pass));
    const int64_t rows_each = shares.units ? layer.rows : (layer.rows + shares.slices - 1) / shares.slices;
    registers = registers_per_output(rows_each, widest_product(pass), layer.hidden, units_together(layer, pass),
                                     lanes<T>, shares.units ? shares.slices : 1);
    step_by_step = can_multiply_in_steps() && (layer.steps == 1 || rows_each >= rows_worth_steps);
    in_place = may_be_in_place && !layer.precision && layer.rows <= rows_in_place && layer.steps <= steps_in_place &&
               !shares.units;
    const int64_t places = order.most_places(most_steps);
    for (int64_t d = 0; d < layer.directions; ++d) {
      direction[d].emplace(layer, pass, d, registers, step_by_step, in_place, weights, work);
      Direction &own = *direction[d];
      own.alternating = work.take<T>(2 * layer.rows * layer.width_of_states(1, layer.states));
      for (int64_t a = 0; a < pass.array_count; ++a)
        if (pass.arrays[a].role == role_scratch)
          own.scratch[pass.arrays[a].index] = work.take<T>(layer.rows * row_width(layer, pass.arrays[a]));
        else if (pass.arrays[a].role == role_row_values)
          own.row_values = work.take<T>(pass.arrays[a].blocks * layer.rows);
      own.arrays = work.take<Array<T>>(pass.array_count);
      own.finals = work.take<Final<T>>(layer.states);
      if (step_by_step) continue;
      if (gathers()) own.rows = work.take<T>(places * layer.input);
      own.products = work.take<T>(places * layer.program.input_count * layer.hidden);
      if (layer.in_bytes()) {
        own.as_bytes.emplace(layer, d, places, weights, work);
        continue;
      }
      own.bias = has_vectors() ? weights.take<T>(layer.program.input_count * layer.hidden) : nullptr;
      if (!may_be_in_place) { // packed weights are held
        int64_t size = 0;
        each_input_product(d, [&](const Gemm<T> &g, int64_t, int64_t) { size += whole_packed_size(g); });
        own.packed = weights.take<T>(size);
      }
    }
    if (!step_by_step)
      product_memory =
          work.take<T>(product_scratch(layer, places, layer.input, layer.program.input_count * layer.hidden));
    loop_scratch =
        Share<T>::scratch_bytes(pass, layer.rows, registers * lanes<T>, shares,
                                layer.in_bytes() ? std::max(layer.hidden, layer.input) : 0, widest_pairs(layer, pass));
    barriers = work.take<Barrier>(layer.directions);
    scratch = work.take<std::byte>(loop_scratch * shares.slices * layer.directions);
  }
  Forward(const Forward &) = delete;
  Forward &operator=(const Forward &) = delete;

  // Identifies the layout of the weights: packed weights serve calls of the same layout.
  int64_t layout() const { return 1 + ((registers * 2 + step_by_step) * 2 + layer.in_bytes()) * 2 + layer.in_pairs(); }

  // Computes and packs loop-invariant values, once for all segments.
  void prepare() {
    std::fill_n(zero_state, layer.rows * layer.hidden, T(0));
    for (int64_t d = 0; d < layer.directions; ++d) direction[d]->weights.describe();
  }
  void pack() {
    const Clock clock(layer.seconds, GATEWISE_PACKING);
    for (int64_t d = 0; d < layer.directions; ++d) {
      Direction &own = *direction[d];
      own.vectors.compute();
      own.weights.pack();
      const auto vector_of = [&](int64_t i) {
        const VectorInfo &vector = layer.program.inputs[i].vector;
        return vector.gate < 0 ? own.weights.zeros : own.vectors.at(vector);
      };
      for (int64_t i = 0; own.bias && i < layer.program.input_count; ++i)
        std::copy_n(vector_of(i), layer.rows_of(layer.program.inputs[i].block.group), own.bias + i * layer.hidden);
      if (own.as_bytes) own.as_bytes->pack(vector_of);
      if (own.packed)
        each_input_product(d, [&](const Gemm<T> &g, int64_t, int64_t packed) { pack_whole(g, own.packed + packed); });
    }
  }

  // The steps [begin, end) of every direction.
  void run(int64_t begin, int64_t end, const Sequences<T> *sequences) {
    if (!step_by_step) multiply_inputs(begin, end);
    Job<T> jobs[2];
    for (int64_t d = 0; d < layer.directions; ++d) jobs[d] = job(d, begin, end, sequences[d]);
    const Clock clock(layer.seconds, GATEWISE_LOOP);
    run_loops(layer, jobs, shares, barriers, scratch, loop_scratch);
  }

  // Copies the state before step `s`, which all rows have processed or been through, by the caller's row: (B, H).
  void state_before(int64_t d, int64_t s, int64_t state, const Sequences<T> &sequences, T *to) const {
    const Direction &own = *direction[d];
    const int64_t width = layer.state_width(state), before = layer.width_of_states(1, state);
    for (int64_t r = 0; r < layer.rows; ++r) {
      const int64_t b = order.caller_of(r), length = order.length_of(r);
      if (length <= s && s > 0) continue; // nothing reads it
      const T *from;
      if (s == 0) from = initial(d, state) + b * width;
      else if (state == 0) {
        const int64_t time = layer.reads_backward(d) ? length - s : s - 1;
        from = output(d) + time * layer.output.step_stride + b * layer.output.row_stride;
      } else if (sequences.states) {
        const int64_t step = layer.reads_backward(d) ? layer.steps - s : s - 1;
        const int64_t place = (order.at ? order.at[s - 1] : step * layer.rows) + r - sequences.origin;
        from = sequences.states + place * sequences.stride + before;
      } else from = own.alternating + 2 * layer.rows * before + ((s - 1) % 2 * layer.rows + r) * width;
      std::copy_n(from, width, to + b * width);
    }
  }

private:
  struct Direction {
    Direction(const Layer<T> &layer, const PassInfo &pass, int64_t d, int64_t registers, bool step_by_step,
              bool in_place, Carver &weights, Carver &work)
        : vectors(layer, d, weights, work),
          weights(layer, pass, d, registers, step_by_step, in_place, vectors, weights, work), masks(layer, work) {}
    Vectors<T> vectors;
    PassWeights<T> weights;
    Masks<T> masks;
    Array<T> *arrays = nullptr;
    Final<T> *finals = nullptr;
    T *alternating = nullptr, *scratch[2] = {nullptr, nullptr}, *row_values = nullptr;
    T *bias = nullptr, *packed = nullptr, *products = nullptr, *rows = nullptr;
    std::optional<bytes::InputProducts<T>> as_bytes;
  };

  const Layer<T> &layer;
  const RowOrder &order;
  uint8_t *const *cut;
  const PassInfo &pass;
  T *zero_state;
  Split shares;
  int64_t registers, loop_scratch;
  bool step_by_step, in_place;
  std::optional<Direction> direction[2];
  T *product_memory = nullptr;
  Barrier *barriers;
  std::byte *scratch;

  bool gathers() const { return order.lengths || !Layer<T>::is_dense(layer.x, layer.rows); }
  bool has_vectors() const {
    for (int64_t i = 0; i < layer.program.input_count; ++i)
      if (layer.program.inputs[i].vector.gate >= 0) return true;
    return false;
  }
  // Not where a product or a sum over units reads a value from x, nor where a stage has more values than the tile.
  bool can_multiply_in_steps() const {
    for (int64_t k = 0; k < pass.stage_count; ++k) {
      const StageInfo &stage = pass.stages[k];
      if (stage.input_count * registers > widest_strip) return false;
      if (stage.kind == whole_rows && stage.input_count) return false;
      for (int64_t p = stage.first_product; p < stage.first_product + stage.product_count; ++p)
        if (pass.arrays[pass.products[p].array].role == role_input) return false;
    }
    return true;
  }
  const T *initial(int64_t d, int64_t state) const {
    const T *const given = layer.initial(d, state);
    return given ? given : zero_state;
  }
  T *output(int64_t d) const { return static_cast<T *>(layer.output.data) + d * layer.output_width(); }

  // Calls visit(g, first, packed) for the products with x of adjacent blocks, which `g` has the weights of: the first
  // of their input projections, and where they begin among packed weights.
  template <class Visit> void each_input_product(int64_t d, Visit visit) const {
    const Program &program = layer.program;
    int64_t packed = 0;
    for (int64_t i = 0, next; i < program.input_count; i = next) {
      const BlockInfo &first = program.inputs[i].block;
      const int64_t width = layer.rows_of(first.group); // those of a projection are the first of H units
      for (next = i + 1; next < program.input_count; ++next) {
        const BlockInfo &other = program.inputs[next].block;
        if (other.group != first.group || other.gate != first.gate + next - i || width < layer.hidden) break;
      }
      Gemm<T> g{};
      g.b = layer.block(d, first), g.b_stride = layer.input, g.b_transposed = 1;
      g.columns = (next - i) * width, g.depth = layer.input, g.paired = layer.in_pairs();
      visit(g, i, packed);
      packed += whole_packed_size(g);
    }
  }

  // The input projections, for all places of some steps.
  void multiply_inputs(int64_t begin, int64_t end) {
    const Clock clock(layer.seconds, GATEWISE_PRODUCTS_BEFORE);
    for (int64_t d = 0; d < layer.directions; ++d) {
      Direction &own = *direction[d];
      const T *x = gather_rows(layer, order, layer.reads_backward(d), begin, end, own.rows);
      if (own.as_bytes) {
        own.as_bytes->multiply(x, own.rows ? layer.input : layer.x.row_stride, order.place_count(begin, end),
                               own.products);
        continue;
      }
      each_input_product(d, [&](Gemm<T> g, int64_t first, int64_t packed) {
        g.a = x, g.a_stride = own.rows ? layer.input : layer.x.row_stride;
        g.c = own.products + first * layer.hidden, g.c_stride = layer.program.input_count * layer.hidden;
        g.rows = order.place_count(begin, end);
        g.bias = own.bias ? own.bias + first * layer.hidden : nullptr;
        g.packed = own.packed ? own.packed + packed : nullptr;
        multiply(layer, g, product_memory);
      });
    }
  }

  Job<T> job(int64_t d, int64_t begin, int64_t end, const Sequences<T> &sequences) {
    Direction &own = *direction[d];
    const int64_t first_place = order.first_place(begin, end, layer.reads_backward(d));
    const int64_t hidden = layer.hidden;
    Job<T> job = job_of(layer, order, pass, own, d, begin, end, cut[d], registers, shares);
    if (sequences.before) job.final_count = 0;
    own.masks.describe(layer, d, job);
    // Calls of one step each that write states to two buffers in turns read weights from either end in turns.
    job.from_last = layer.initial(d, 0) < layer.final(d, 0);
    job.quantised = layer.in_bytes() ? std::max(layer.hidden, layer.input) : 0;
    job.paired = widest_pairs(layer, pass);
    for (int64_t a = 0; a < pass.array_count; ++a) {
      const ArrayInfo &info = pass.arrays[a];
      Array<T> &array = own.arrays[a];
      array = {};
      switch (info.role) {
      case role_input:
        job.input = a;
        if (step_by_step) {
          array = caller_rows_of<T>(layer.x, 0);
          job.input_depth = layer.input;
        } else {
          array.kind = sequence, array.base = own.products, array.origin = first_place;
          array.stride = layer.program.input_count * hidden;
        }
        break;
      case role_saved:
      case role_saved_row_values: array = saved_values(layer, info, sequences); break;
      case role_previous_state:
      case role_next_state: {
        const bool previous = info.role == role_previous_state;
        const T *const before = sequences.before ? sequences.before + layer.rows * layer.width_of_states(0, info.index)
                                                 : initial(d, info.index);
        const int64_t width = layer.state_width(info.index);
        if (info.index == 0 || sequences.states) array = state_array(layer, d, info, sequences, before);
        else {
          array.kind = previous ? alternating_previous : alternating, array.stride = width;
          array.base = own.alternating + 2 * layer.rows * layer.width_of_states(1, info.index);
          array.first = sequences.first, array.other = const_cast<T *>(before), array.other_stride = width;
        }
        if (previous) own.finals[info.index] = {a, layer.final(d, info.index), width, info.size == size_projection};
        break;
      }
      case role_mask: array = own.masks.array(layer, info.index); break;
      case role_scratch:
        array.kind = per_row, array.base = own.scratch[info.index], array.stride = row_width(layer, info);
        break;
      case role_row_values:
        job.row_values = a, array.kind = per_row, array.base = own.row_values, array.stride = info.blocks;
        break;
      default: break;
      }
    }
    return job;
  }
};

} // namespace gatewise
