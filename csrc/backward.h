// The backward pass of a layer: the time loop backward, then parameter gradients, and the gradient of x.
#pragma once

#include "forward.h"

namespace gatewise {

// The arguments of a backward pass besides its layer.
template <class T> struct Upstream {
  gatewise_sequence output_gradient, x_gradient;
  bool accumulate_x, accumulate_parameters;
  double *norms;      // (D, T·B, S), or null
  T *state_gradients; // (D, T·B, S, H), or null
};

template <class T> class Backward {
public:
  Backward(const Layer<T> &layer, const RowOrder &order, uint8_t *const *cut, int64_t most_steps,
           const Upstream<T> &upstream, Carver &weights, Carver &work)
      : layer(layer), order(order), cut(cut), upstream(upstream), pass(layer.program.backward),
        epilogue(layer.program.epilogue) {
    const int64_t hidden = layer.hidden, places = order.most_places(most_steps);
    shares = split(layer.rows, layer.steps, weight_count(layer, pass), layer.directions, layer.threads,
                   layer.share_small, has_sums(pass));
    const int64_t rows_each = shares.units ? layer.rows : (layer.rows + shares.slices - 1) / shares.slices;
    registers = registers_per_output(rows_each, 1, hidden, units_together(layer, pass), lanes<T>,
                                     shares.units ? shares.slices : 1);
    zeros = work.take<T>(layer.rows * hidden);
    for (int64_t d = 0; d < layer.directions; ++d) {
      direction[d].emplace(layer, pass, epilogue, d, registers, weights, work);
      Direction &own = *direction[d];
      own.arrays = work.take<Array<T>>(pass.array_count);
      own.finals = work.take<Final<T>>(layer.states);
      own.sequence_gradients = work.take<SequenceGradient<T>>(layer.states);
      own.measured = work.take<ObservedStates>(layer.states);
      own.carried = work.take<T>(layer.rows * layer.width_of_states());
      own.operands = work.take<T *>(layer.program.operand_count);
      for (int64_t a = 0; a < pass.array_count; ++a) {
        const ArrayInfo &info = pass.arrays[a];
        const int64_t width = row_width(layer, info);
        if (info.role == role_scratch) own.scratch[info.index] = work.take<T>(layer.rows * width);
        if (info.role == role_row_values) own.row_values = work.take<T>(info.blocks * layer.rows);
        if (info.role == role_delta)
          own.deltas[info.index] = work.take<T>(places * width), own.delta_width[info.index] = width;
        if (info.role == role_operand && !is_shifted_state(info.index)) {
          T *const rows = work.take<T>(places * width);
          if (own.operands) own.operands[info.index] = rows;
        } else if (info.role == role_operand && own.operands) own.operands[info.index] = nullptr;
      }
      if (upstream.norms && !upstream.state_gradients)
        own.shown = work.take<T>((norms_after_loop() ? places : layer.rows) * layer.width_of_states());
      if (upstream.norms && shares.units && !norms_after_loop())
        own.squares = work.take<double>(shares.slices * places * layer.states);
      own.sums = work.take<T>(shares.slices * pass.sum_count * hidden);
      own.totals = work.take<T>(pass.sum_count * hidden);
      for (int64_t a = 0; a < epilogue.array_count; ++a) {
        const ArrayInfo &info = epilogue.arrays[a];
        if (info.role == role_results) own.results = work.take<T>(info.blocks * hidden);
        if (info.role == role_scratch) own.epilogue_scratch = work.take<T>(info.blocks * hidden);
      }
      int64_t gates = 0;
      for (int64_t g = 0; g < layer.groups; ++g) gates += layer.program.groups[g].gates;
      own.touched = work.take<bool>(gates);
      if (gathers()) own.rows = work.take<T>(places * layer.input);
    }
    int64_t product = 0;
    for (int64_t o = 0; o < layer.program.outer_count; ++o) {
      const OuterInfo &outer = layer.program.outers[o];
      const int64_t rows = outer.count * layer.rows_of(outer.first.group);
      product = std::max(product, product_scratch(layer, rows, places, layer.columns_of(outer.first.group)));
      if (outer.operand < 0) product = std::max(product, product_scratch(layer, places, rows, layer.input));
    }
    product_memory = work.take<T>(product);
    if (scatters()) x_rows = work.take<T>(places * layer.input);
    loop_scratch =
        Share<T>::scratch_bytes(pass, layer.rows, registers * lanes<T>, shares, 0, widest_pairs(layer, pass));
    barriers = work.take<Barrier>(layer.directions);
    scratch = work.take<std::byte>(loop_scratch * shares.slices * layer.directions);
  }
  Backward(const Backward &) = delete;
  Backward &operator=(const Backward &) = delete;

  int64_t layout() const { return (registers * 2 + layer.in_pairs()) * 4 + 2; }

  void prepare() {
    std::fill_n(zeros, layer.rows * layer.hidden, T(0));
    for (int64_t d = 0; d < layer.directions; ++d) direction[d]->weights.describe();
  }
  void pack() {
    const Clock clock(layer.seconds, GATEWISE_PACKING);
    for (int64_t d = 0; d < layer.directions; ++d) direction[d]->vectors.compute(), direction[d]->weights.pack();
  }
  // Before the first steps. `in_parts`: whether `run` is called more than once.
  void begin(bool in_parts) {
    for (int64_t d = 0; d < layer.directions; ++d) {
      Direction &own = *direction[d];
      std::fill_n(own.sums, shares.slices * pass.sum_count * layer.hidden, T(0));
      int64_t gate = 0;
      for (int64_t g = 0; g < layer.groups; ++g)
        for (int64_t k = 0; k < layer.program.groups[g].gates; ++k)
          own.touched[gate++] = upstream.accumulate_parameters;
    }
    const gatewise_sequence &x_gradient = upstream.x_gradient;
    if (!x_gradient.data || upstream.accumulate_x) return;
    // Each direction processes a row of x in another part.
    if (in_parts || !reads_x()) clear<T>(layer.steps, layer.rows, layer.input, x_gradient);
    else clear_padding<T>(order, layer.input, x_gradient);
  }

  // The steps [begin, end) of every direction, from the saved values.
  void run(int64_t begin, int64_t end, const Sequences<T> *sequences, bool in_parts) {
    Job<T> jobs[2];
    for (int64_t d = 0; d < layer.directions; ++d) jobs[d] = job(d, begin, end, sequences[d]);
    {
      const Clock clock(layer.seconds, GATEWISE_LOOP);
      run_loops(layer, jobs, shares, barriers, scratch, loop_scratch);
      if (upstream.norms)
        for (int64_t d = 0; d < layer.directions; ++d) finish_norms(d, begin, end);
    }
    const Clock clock(layer.seconds, GATEWISE_PRODUCTS_AFTER);
    for (int64_t d = 0; d < layer.directions; ++d) {
      if (order.place_count(begin, end) == 0) break;
      multiply_parameters(d, begin, end, sequences[d]);
      if (upstream.x_gradient.data) multiply_x(d, begin, end, upstream.accumulate_x || in_parts || d > 0);
    }
  }

  // After the last steps: gradients that are reductions, or computed from them.
  void end() {
    const Clock clock(layer.seconds, GATEWISE_SUMS);
    for (int64_t d = 0; d < layer.directions; ++d) {
      Direction &own = *direction[d];
      const int64_t length = pass.sum_count * layer.hidden;
      std::copy_n(own.sums, length, own.totals);
      for (int64_t s = 1; s < shares.slices; ++s)
        for (int64_t i = 0; i < length; ++i) own.totals[i] += own.sums[s * length + i];
      run_epilogue(d);
      for (int64_t k = 0; k < layer.program.gradient_count; ++k) add(d, layer.program.gradients[k]);
      int64_t gate = 0;
      for (int64_t g = 0; g < layer.groups; ++g)
        for (int64_t k = 0; k < layer.program.groups[g].gates; ++k, ++gate)
          if (T *const block = layer.gradient_block(d, {g, k}); block && !own.touched[gate])
            std::fill_n(block, layer.block_size(g), T(0));
    }
  }

private:
  struct Direction {
    Direction(const Layer<T> &layer, const PassInfo &pass, const PassInfo &epilogue, int64_t d, int64_t registers,
              Carver &weights, Carver &work)
        : vectors(layer, d, weights, work), weights(layer, pass, d, registers, false, false, vectors, weights, work),
          masks(layer, work), epilogue(epilogue, layer.hidden, work) {}
    Vectors<T> vectors;
    PassWeights<T> weights;
    Masks<T> masks;
    OneRow<T> epilogue;
    Array<T> *arrays = nullptr;
    Final<T> *finals = nullptr;
    SequenceGradient<T> *sequence_gradients = nullptr;
    ObservedStates *measured = nullptr;
    T *carried = nullptr, *shown = nullptr, *sums = nullptr, *totals = nullptr;
    T *scratch[2] = {nullptr, nullptr}, *deltas[2] = {nullptr, nullptr}; // of H units, and of P
    T *row_values = nullptr, *results = nullptr, *epilogue_scratch = nullptr, *rows = nullptr;
    T **operands = nullptr; // (N, H) or (N, P) each; null: the state's own sequence, one step apart
    double *squares = nullptr;
    int64_t delta_width[2] = {0, 0};
    bool *touched = nullptr; // by group and gate: whether its gradient is initialised
  };

  const Layer<T> &layer;
  const RowOrder &order;
  uint8_t *const *cut;
  const Upstream<T> &upstream;
  const PassInfo &pass, &epilogue;
  Split shares;
  int64_t registers, loop_scratch;
  T *zeros, *product_memory, *x_rows = nullptr;
  std::optional<Direction> direction[2];
  Barrier *barriers;
  std::byte *scratch;

  bool gathers() const { return order.lengths || !Layer<T>::is_dense(layer.x, layer.rows); }
  bool scatters() const {
    return upstream.x_gradient.data && (order.lengths || !Layer<T>::is_dense(upstream.x_gradient, layer.rows));
  }
  // Whether an operand is a state whose own sequence serves, one step apart: rows that nothing cuts or reorders. (It
  // must not ask whether there is memory yet: what a call needs is a function of the call alone.)
  bool is_shifted_state(int64_t operand) const {
    return layer.program.operands[operand].state >= 0 && !order.lengths && !layer.resets &&
           (layer.program.operands[operand].state > 0 || Layer<T>::is_dense(layer.output, layer.rows));
  }
  bool reads_x() const {
    for (int64_t o = 0; o < layer.program.outer_count; ++o)
      if (layer.program.outers[o].operand < 0) return true;
    return false;
  }
  // Squares of double precision can underflow, so its norms are computed from whole rows.
  static constexpr bool norms_after_loop() { return sizeof(T) == sizeof(double); }

  const T *before_first(int64_t d, int64_t state, const Sequences<T> &sequences) const {
    if (sequences.before) return sequences.before + layer.rows * layer.width_of_states(0, state);
    const T *const given = layer.initial(d, state);
    return given ? given : zeros;
  }

  Job<T> job(int64_t d, int64_t begin, int64_t end, const Sequences<T> &sequences) {
    Direction &own = *direction[d];
    const int64_t first_place = order.first_place(begin, end, layer.reads_backward(d));
    Job<T> job = job_of(layer, order, pass, own, d, begin, end, cut[d], registers, shares);
    own.masks.describe(layer, d, job);
    job.sequence_gradients = own.sequence_gradients;
    job.backward = true, job.sums = own.sums, job.sum_count = pass.sum_count;
    job.paired = widest_pairs(layer, pass);
    job.measured = own.measured, job.state_count = layer.states;
    for (int64_t a = 0; a < pass.array_count; ++a) {
      const ArrayInfo &info = pass.arrays[a];
      Array<T> &array = own.arrays[a];
      array = {};
      const int64_t width = layer.size(info.size);
      const bool narrow = info.size == size_projection;
      switch (info.role) {
      case role_saved:
      case role_saved_row_values: array = saved_values(layer, info, sequences); break;
      case role_previous_state:
      case role_next_state:
        array = state_array(layer, d, info, sequences, before_first(d, info.index, sequences));
        break;
      case role_output_gradient:
        if (upstream.output_gradient.data) array = caller_rows_of<T>(upstream.output_gradient, d * width);
        else array.kind = per_row, array.base = zeros;
        break;
      case role_arriving_gradient: {
        const gatewise_state &state = layer.states_of[info.index];
        T *const final = layer.state_row(state.final_gradient, d, info.index);
        array.kind = gradient_arriving, array.base = carried(own, info.index), array.stride = width;
        array.other = final ? final : zeros, array.other_stride = final ? width : 0;
        own.finals[info.index] = {a, layer.state_row(state.initial_gradient, d, info.index), width, narrow};
        if (state.sequence_gradient.data)
          own.sequence_gradients[job.sequence_gradient_count++] = {
              a, caller_rows_of<T>(state.sequence_gradient, d * width), width, narrow};
        break;
      }
      case role_sent_gradient: array.kind = per_row, array.base = carried(own, info.index), array.stride = width; break;
      case role_state_gradients: {
        if (!upstream.norms && !upstream.state_gradients) break;
        const int64_t offset = layer.width_of_states(0, info.index);
        array.stride = layer.width_of_states();
        if (upstream.state_gradients) {
          array.kind = caller_rows, array.step_stride = layer.rows * array.stride;
          array.base = upstream.state_gradients + d * layer.steps * array.step_stride + offset;
        } else {
          array.kind = norms_after_loop() ? sequence : per_row, array.base = own.shown + offset;
          array.origin = first_place;
        }
        if (!upstream.norms || norms_after_loop()) break;
        own.measured[job.measured_count++] = {a, info.index, info.blocks, width, narrow};
        job.norm_places = order.place_count(begin, end), job.norm_origin = first_place;
        job.norms = own.squares ? own.squares : upstream.norms + d * layer.steps * layer.rows * layer.states;
        break;
      }
      case role_delta:
        array.kind = sequence, array.base = own.deltas[info.index], array.stride = own.delta_width[info.index];
        array.origin = first_place;
        break;
      case role_operand:
        if (own.operands[info.index])
          array.kind = sequence, array.base = own.operands[info.index], array.stride = width,
          array.origin = first_place;
        break;
      case role_mask: array = own.masks.array(layer, info.index); break;
      case role_scratch:
        array.kind = per_row, array.base = own.scratch[info.index], array.stride = info.blocks * width;
        break;
      case role_row_values:
        job.row_values = a, array.kind = per_row, array.base = own.row_values, array.stride = info.blocks;
        break;
      default: break;
      }
    }
    return job;
  }

  T *carried(const Direction &own, int64_t state) const {
    return own.carried + layer.rows * layer.width_of_states(0, state);
  }

  void finish_norms(int64_t d, int64_t begin, int64_t end) const {
    const Direction &own = *direction[d];
    const int64_t blocks = layer.states, places = order.place_count(begin, end), all = layer.width_of_states();
    double *const norms = upstream.norms + d * layer.steps * layer.rows * blocks;
    if (!norms_after_loop() && !own.squares) return;
    order.each(begin, end, layer.reads_backward(d), [&](int64_t place, int64_t time, int64_t row) {
      double *const to = norms + (time * layer.rows + row) * blocks;
      for (int64_t b = 0; b < blocks; ++b) {
        if (norms_after_loop()) {
          const T *const shown = upstream.state_gradients
                                     ? upstream.state_gradients + ((d * layer.steps + time) * layer.rows + row) * all
                                     : own.shown + place * all;
          to[b] = scaled_norm(shown + layer.width_of_states(0, b), layer.state_width(b));
          continue;
        }
        double sum = 0;
        for (int64_t s = 0; s < shares.slices; ++s) sum += own.squares[(s * places + place) * blocks + b];
        to[b] = std::sqrt(sum);
      }
    });
  }

  // Whether a gradient is already initialised; marks it as initialised.
  bool touch(int64_t d, const BlockInfo &info) const {
    int64_t at = info.gate;
    for (int64_t g = 0; g < info.group; ++g) at += layer.program.groups[g].gates;
    const bool before = direction[d]->touched[at];
    direction[d]->touched[at] = true;
    return before;
  }

  void multiply_parameters(int64_t d, int64_t begin, int64_t end, const Sequences<T> &sequences) {
    const Direction &own = *direction[d];
    const T *x = nullptr;
    for (int64_t o = 0; o < layer.program.outer_count; ++o) {
      const OuterInfo &outer = layer.program.outers[o];
      T *const gradient = layer.gradient_block(d, outer.first);
      if (!gradient) continue;
      bool add = false;
      for (int64_t k = 0; k < outer.count; ++k) add = touch(d, {outer.first.group, outer.first.gate + k});
      const bool of_x = outer.operand < 0;
      Gemm<T> g{};
      deltas_of(own, outer, g.a, g.a_stride), g.a_transposed = 1;
      g.c = gradient, g.c_stride = g.columns = layer.columns_of(outer.first.group);
      g.rows = outer.count * layer.rows_of(outer.first.group);
      g.depth = order.place_count(begin, end), g.add = add;
      if (of_x) {
        if (!x) x = gather_rows(layer, order, layer.reads_backward(d), begin, end, own.rows);
        g.b = x, g.b_stride = own.rows ? layer.input : layer.x.row_stride;
        multiply(layer, g, product_memory);
        continue;
      }
      const int64_t state = layer.program.operands[outer.operand].state;
      each_head(outer, g, [&](Gemm<T> part, int64_t unit) {
        if (T *const rows = own.operands[outer.operand]) {
          part.b = rows + unit, part.b_stride = layer.size(layer.program.groups[outer.first.group].columns);
          multiply(layer, part, product_memory);
        } else multiply_shifted(d, begin, end, sequences, state, unit, part);
      });
    }
  }

  // Calls visit(part, unit) for the gradient as a whole, or block by block and head by head: the first unit of the
  // operand that the part reads.
  template <class Visit> void each_head(const OuterInfo &outer, const Gemm<T> &whole, Visit visit) const {
    const int64_t heads = layer.heads_of(outer.first.group), width = whole.columns;
    if (heads == 1) return visit(whole, 0);
    for (int64_t row = 0; row < whole.rows; row += width) {
      Gemm<T> part = whole;
      part.rows = width, part.a += row, part.c += row * width;
      visit(part, row % layer.hidden);
    }
  }

  void deltas_of(const Direction &own, const OuterInfo &outer, const T *&from, int64_t &stride) const {
    const bool narrow = layer.program.groups[outer.first.group].rows == size_projection;
    from = own.deltas[narrow] + outer.delta * layer.rows_of(outer.first.group), stride = own.delta_width[narrow];
  }

  // A state's own sequence from a unit on, one step apart, after the states before the first step.
  void multiply_shifted(int64_t d, int64_t begin, int64_t end, const Sequences<T> &sequences, int64_t state,
                        int64_t unit, const Gemm<T> &whole) {
    const bool reverse = layer.reads_backward(d), starts = begin == sequences.first;
    const int64_t rows = layer.rows, count = whole.depth, width = layer.state_width(state);
    const T *values;
    int64_t stride;
    if (state == 0 && !sequences.output)
      values = static_cast<T *>(layer.output.data) + d * width, stride = layer.output.row_stride;
    else {
      values = state == 0 ? sequences.output : sequences.states + layer.width_of_states(1, state);
      stride = state == 0 ? width : sequences.stride;
    }
    values += unit;
    // Places of the steps, and of the steps before them but for the first.
    const int64_t first_place = order.first_place(begin, end, reverse) - sequences.origin;
    const int64_t alone = starts ? rows : 0;
    Gemm<T> g = whole;
    if (count > alone) {
      g.depth = count - alone;
      g.a = whole.a + (reverse ? 0 : alone * whole.a_stride);
      g.b = values + (reverse ? first_place + rows : first_place + alone - rows) * stride, g.b_stride = stride;
      multiply(layer, g, product_memory);
      g.add = true;
    }
    if (!alone) return;
    g.depth = rows;
    g.a = whole.a + (reverse ? (count - rows) * whole.a_stride : 0);
    g.b = before_first(d, state, sequences) + unit, g.b_stride = width;
    multiply(layer, g, product_memory);
  }

  void multiply_x(int64_t d, int64_t begin, int64_t end, bool add) {
    const Direction &own = *direction[d];
    const bool reverse = layer.reads_backward(d), scattered = x_rows != nullptr;
    const gatewise_sequence &to = upstream.x_gradient;
    bool filled = false;
    for (int64_t o = 0; o < layer.program.outer_count; ++o) {
      const OuterInfo &outer = layer.program.outers[o];
      if (outer.operand >= 0) continue;
      Gemm<T> g{};
      deltas_of(own, outer, g.a, g.a_stride);
      g.b = layer.block(d, outer.first), g.b_stride = layer.input;
      g.c = scattered ? x_rows : static_cast<T *>(to.data) + order.first_place(begin, end, reverse) * to.row_stride;
      g.c_stride = scattered ? layer.input : to.row_stride;
      g.rows = order.place_count(begin, end), g.columns = layer.input,
      g.depth = outer.count * layer.rows_of(outer.first.group);
      g.add = filled || (add && !scattered);
      filled = true;
      multiply(layer, g, product_memory);
    }
    if (filled && scattered) scatter_rows(x_rows, order, reverse, begin, end, layer.input, add, to);
  }

  void run_epilogue(int64_t d) {
    Direction &own = *direction[d];
    if (!epilogue.stage_count) return;
    for (int64_t a = 0; a < epilogue.array_count; ++a) {
      const ArrayInfo &info = epilogue.arrays[a];
      own.epilogue.arrays[a] = info.role == role_sums      ? own.totals
                               : info.role == role_results ? own.results
                               : info.role == role_vectors ? own.vectors.all()
                               : info.role == role_scratch ? own.epilogue_scratch
                                                           : layer.block(d, {info.index, 0});
    }
    own.epilogue.run([&](const BlockInfo &info) { return layer.block(d, info); },
                     [&](const BlockInfo &info) { return layer.columns_of(info.group); });
  }

  void add(int64_t d, const GradientInfo &info) {
    const Direction &own = *direction[d];
    T *const to = layer.gradient_block(d, info.block);
    if (!to) return;
    const auto from = [&](const SourceInfo &source) {
      return (source.result ? own.results : own.totals) + source.block * layer.hidden;
    };
    const bool add = touch(d, info.block), outer = info.right.block >= 0;
    const T *const left = from(info.left), *const right = outer ? from(info.right) : nullptr;
    const int64_t rows = layer.rows_of(info.block.group), columns = outer ? layer.columns_of(info.block.group) : 1;
    const bool divided = layer.heads_of(info.block.group) > 1;
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < columns; ++j) {
        const T value = outer ? left[i] * right[(divided ? i / columns * columns : 0) + j] : left[i];
        to[i * columns + j] = add ? to[i * columns + j] + value : value;
      }
  }
};

} // namespace gatewise
