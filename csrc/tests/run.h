// Runs of a cell on the engine, laid out as the Python side does it, in workspaces that are full of NaN.
#pragma once

#include "description.h"
#include "engine.h"

#include <cmath>
#include <deque>
#include <limits>
#include <new>
#include <numeric>
#include <random>
#include <thread>

// The interface by number type.
template <class T> struct Engine;
template <> struct Engine<float> {
  static constexpr auto run = gatewise_run_f32;
  static constexpr auto multiply = gatewise_multiply_f32;
  static constexpr auto pack = gatewise_pack_f32;
  static constexpr auto add_up = gatewise_add_up_f32;
  static constexpr auto measure = gatewise_measure_f32;
};
template <> struct Engine<double> {
  static constexpr auto run = gatewise_run_f64;
  static constexpr auto multiply = gatewise_multiply_f64;
  static constexpr auto pack = gatewise_pack_f64;
  static constexpr auto add_up = gatewise_add_up_f64;
  static constexpr auto measure = gatewise_measure_f64;
};

using Values = std::vector<double>;

// How many threads share the slices of the next calls of this thread: fewer than slices is a team smaller than asked.
inline thread_local int64_t team_size = 1;

inline int32_t team(int64_t begin, int64_t end, int64_t, void (*body)(int64_t, int64_t, void *), void *context) {
  const int64_t count = end - begin, members = std::min(team_size, count);
  std::vector<std::thread> threads;
  for (int64_t m = 1; m < members; ++m)
    threads.emplace_back(body, begin + count * m / members, begin + count * (m + 1) / members, context);
  body(begin, begin + count / members, context);
  for (std::thread &thread : threads) thread.join();
  return 0;
}

struct Shape {
  int64_t steps, rows, inputs, hidden;
  bool ragged = false, cut = false, reverse = false;
};

// What a run computes from: one direction of one layer, and the gradients that arrive at its results.
struct Problem {
  Shape shape;
  int64_t places;
  std::vector<int64_t> at, active, length;
  std::vector<int64_t> index;  // where ragged rows stand in the caller's arrays, twice as long as need be
  std::vector<int64_t> caller; // in which order the caller has their initial and final states
  std::vector<uint8_t> cut;
  Values x; // (places, I)
  std::vector<Values> initial, matrices, vectors;
  std::vector<Values> input_matrices, biases; // of the values from x: (H, I); (H), zeros without one
  Values output_gradient;                     // (places, H)
  std::vector<Values> final_gradients;

  Problem(const description::Cell &cell, const Shape &shape, unsigned seed)
      : shape(shape), places(shape.steps * shape.rows) {
    std::mt19937 random(seed);
    const int64_t steps = shape.steps, rows = shape.rows, hidden = shape.hidden;
    if (shape.ragged) {
      for (int64_t r = 0; r < rows; ++r) length.push_back(random() % (steps + 1));
      std::sort(length.rbegin(), length.rend());
      places = 0;
      for (int64_t s = 0; s < steps; ++s) {
        at.push_back(places);
        active.push_back(std::count_if(length.begin(), length.end(), [&](int64_t n) { return n > s; }));
        places += active.back();
      }
      index.resize(2 * places);
      std::iota(index.begin(), index.end(), 0);
      std::shuffle(index.begin(), index.end(), random);
      index.resize(places);
      caller.resize(rows);
      std::iota(caller.begin(), caller.end(), 0);
      std::shuffle(caller.begin(), caller.end(), random);
    }
    if (shape.cut)
      for (int64_t i = 0; i < (steps + 1) * rows; ++i)
        cut.push_back(i / rows < (shape.ragged ? length[i % rows] : steps) && random() % 4 == 0);
    const auto draw = [&](int64_t count, double scale) {
      std::normal_distribution<double> normal;
      Values values(count);
      for (double &value : values) value = float(scale * normal(random)); // the same in both number types
      return values;
    };
    x = draw(places * shape.inputs, 1);
    for (int biased : cell.biased) {
      input_matrices.push_back(draw(hidden * shape.inputs, 1 / std::sqrt(shape.inputs)));
      biases.push_back(draw(hidden, biased));
    }
    output_gradient = draw(places * hidden, 1);
    for (size_t i = 0; i < cell.states.size(); ++i) {
      initial.push_back(draw(rows * hidden, 1));
      final_gradients.push_back(draw(rows * hidden, 1));
    }
    for (int i = 0; i < cell.matrices; ++i) matrices.push_back(draw(hidden * hidden, 1 / std::sqrt(hidden)));
    for (int i = 0; i < cell.vectors; ++i) vectors.push_back(draw(hidden, 1));
  }

  // The caller's arrays: how many rows they have, and which one stands for a place.
  int64_t caller_rows() const { return shape.ragged ? 2 * places : places; }
  int64_t caller_row(int64_t place) const { return shape.ragged ? index[place] : place; }
  int64_t caller_of(int64_t row) const { return shape.ragged ? caller[row] : row; }
  gatewise::ArrayKind caller_kind() const { return shape.ragged ? gatewise::indexed : gatewise::sequence; }
};

// How a run is shared out.
struct Way {
  int64_t slices = 1, team = 1;
  bool split_units = false;
  int64_t blocks = 1; // most registers per output in a strip
  int64_t chunk = 0;  // steps of a call; 0: all
  bool fused = false; // each step multiplies its x, rather than one product for all before
};

struct Result {
  Values output; // (places, H)
  std::vector<Values> finals;
  Values x_gradient, value_gradient; // the latter of the values from x: (places, values, H)
  Values norms, norms_of_gradients;  // (places, states): of the gradients of the states, and of what was kept of these
  std::vector<Values> initial_gradients, input_matrix_gradients, matrix_gradients, vector_gradients;
  bool intact = true; // nothing was written between the rows of the output
};

// One direction, one way through time, and the memory that its job points to; every buffer is exactly as long as it is
// said to be.
template <class T> class Layout {
public:
  Layout(const description::Cell &cell, const description::Direction &direction, const Problem &problem, const Way &way,
         bool backward)
      : cell(cell), direction(direction), problem(problem), hidden(problem.shape.hidden) {
    blocks = way.blocks;
    for (const description::Stage &stage : direction.stages)
      for (const description::Product &product : stage.products)
        blocks = std::min(blocks, gatewise::widest_strip / outputs(product, backward));
    fused = way.fused && !backward;
    for (const description::Stage &stage : direction.stages)
      if (fused && stage.inputs) blocks = std::min<int64_t>(blocks, gatewise::widest_strip / stage.inputs);
    for (const description::Stage &stage : direction.stages) {
      products.emplace_back();
      for (const description::Product &product : stage.products) {
        const int64_t count = product.matrices.size();
        products.back().push_back({product.array, product.block * hidden, backward ? count * hidden : hidden,
                                   outputs(product, backward), product.first, pack(product, backward), product.add});
      }
      const bool multiplies = fused && stage.inputs;
      stages.push_back({stage.work<T>(), products.back().data(), int64_t(stage.products.size()), stage.outputs,
                        multiplies ? pack_inputs(problem.input_matrices, stage, problem.shape.inputs) : nullptr,
                        multiplies && cell.any_biased() ? pack_inputs(problem.biases, stage, 1) : nullptr,
                        stage.first_input, stage.inputs});
    }
    for (int vector : direction.vectors) vectors.push_back(copy(problem.vectors[vector]));
    job = {};
    job.steps = problem.shape.steps, job.rows = problem.shape.rows, job.hidden = hidden;
    job.backward = backward, job.reverse = problem.shape.reverse;
    job.at = problem.shape.ragged ? problem.at.data() : nullptr;
    job.active = problem.shape.ragged ? problem.active.data() : nullptr;
    job.length = problem.shape.ragged ? problem.length.data() : nullptr;
    job.cut = problem.shape.cut ? problem.cut.data() : nullptr;
    job.blocks = blocks;
    job.stages = stages.data(), job.stage_count = stages.size();
    job.vectors = vectors.data();
    job.zeros = fill(hidden, 0);
    job.split_units = way.split_units;
    job.input_depth = fused ? problem.shape.inputs : 0;
    job.index = problem.shape.ragged ? problem.index.data() : nullptr;
    job.caller = problem.shape.ragged ? problem.caller.data() : nullptr;
  }

  T *empty(int64_t count) { return fill(count, std::numeric_limits<T>::quiet_NaN()); }
  T *fill(int64_t count, T value) { return buffers.emplace_back(count, value).data(); }
  T *copy(const Values &values) { return buffers.emplace_back(values.begin(), values.end()).data(); }
  // States, in the caller's order.
  T *states(const Values &values) {
    T *const rows = empty(problem.shape.rows * hidden);
    for (int64_t r = 0; r < problem.shape.rows; ++r)
      std::copy_n(values.data() + r * hidden, hidden, rows + problem.caller_of(r) * hidden);
    return rows;
  }
  Values from_states(const T *rows) const {
    Values values;
    for (int64_t r = 0; r < problem.shape.rows; ++r) {
      const T *const row = rows + problem.caller_of(r) * hidden;
      values.insert(values.end(), row, row + hidden);
    }
    return values;
  }
  // Rows by place, where the caller has them.
  T *callers(const Values &values, int64_t width) {
    T *const rows = empty(problem.caller_rows() * width);
    for (int64_t place = 0; place < problem.places; ++place)
      std::copy_n(values.data() + place * width, width, rows + problem.caller_row(place) * width);
    return rows;
  }

  // The array of x: x itself, or the values from it, in one product for all places.
  void input_array(int64_t slices) {
    const std::string name = "x";
    const int64_t depth = problem.shape.inputs, columns = cell.inputs() * hidden;
    for (size_t i = 0; i < direction.arrays.size(); ++i)
      if (direction.arrays[i].name == name) job.input = i;
    if (fused) return array(name, problem.caller_kind(), callers(problem.x, depth), depth);
    T *const x = copy(problem.x);
    const auto stacked = [](const std::vector<Values> &parts) {
      Values whole;
      for (const Values &part : parts) whole.insert(whole.end(), part.begin(), part.end());
      return whole;
    };
    T *const values = empty(problem.places * columns);
    array(name, gatewise::sequence, values, columns);
    if (!problem.places) return;
    gatewise::Gemm<T> product{};
    product.a = x, product.b = copy(stacked(problem.input_matrices)), product.c = values;
    product.rows = problem.places, product.columns = columns, product.depth = depth;
    product.a_stride = product.b_stride = depth, product.c_stride = columns;
    product.b_transposed = true;
    product.bias = cell.any_biased() ? copy(stacked(problem.biases)) : nullptr;
    if (Engine<T>::multiply(&product, slices, team)) throw std::bad_alloc();
  }
  // An array in the order of the direction's; without memory where the cell does not have it.
  void array(const std::string &name, gatewise::ArrayKind kind, T *base, int64_t stride, T *other = nullptr) {
    arrays.resize(direction.arrays.size());
    for (size_t i = 0; i < arrays.size(); ++i)
      if (direction.arrays[i].name == name) arrays[i] = {kind, base, other, stride, hidden};
  }
  int64_t blocks_of(const std::string &name) const {
    for (const description::Array &array : direction.arrays)
      if (array.name == name) return array.blocks;
    return 0;
  }
  void final(const std::string &name, T *to) {
    for (size_t i = 0; i < direction.arrays.size(); ++i)
      if (direction.arrays[i].name == name) finals.push_back({int64_t(i), to, hidden});
  }
  void measure(const std::string &name, double *norms, int64_t blocks) {
    for (size_t i = 0; i < direction.arrays.size(); ++i)
      if (direction.arrays[i].name == name) job.measured = i;
    job.norms = norms, job.measured_blocks = blocks, job.places = problem.places;
  }
  const gatewise::Job<T> &finished(T *sums, int64_t sum_count) {
    job.arrays = arrays.data(), job.array_count = arrays.size();
    job.finals = finals.data(), job.final_count = finals.size();
    job.sums = sums, job.sum_count = sum_count;
    return job;
  }

private:
  const description::Cell &cell;
  const description::Direction &direction;
  const Problem &problem;
  int64_t hidden, blocks;
  bool fused;
  gatewise::Job<T> job;
  std::deque<std::vector<T>> buffers;
  std::deque<std::vector<gatewise::Product<T>>> products;
  std::vector<gatewise::Stage<T>> stages;
  std::vector<gatewise::Array<T>> arrays;
  std::vector<gatewise::Final<T>> finals;
  std::vector<const T *> vectors;

  static int64_t outputs(const description::Product &product, bool backward) {
    return backward ? 1 : int64_t(product.matrices.size());
  }
  const T *pack(const description::Product &product, bool backward) {
    std::vector<const T *> matrices;
    for (int matrix : product.matrices) matrices.push_back(copy(problem.matrices[matrix]));
    return pack(matrices, hidden, backward);
  }
  const T *pack_inputs(const std::vector<Values> &values, const description::Stage &stage, int64_t depth) {
    std::vector<const T *> matrices;
    for (int i = 0; i < stage.inputs; ++i) matrices.push_back(copy(values[stage.first_input + i]));
    return pack(matrices, depth, false);
  }
  const T *pack(const std::vector<const T *> &matrices, int64_t depth, bool transposed) {
    const int64_t group = blocks * gatewise::lanes<T>, strips = (hidden + group - 1) / group;
    T *const packed = empty(strips * group * depth * matrices.size());
    const int64_t count = matrices.size();
    const gatewise::Packing<T> packing{matrices.data(), count, hidden, depth, group, transposed, packed, 1};
    Engine<T>::pack(&packing, nullptr);
    return packed;
  }
};

// The same steps in one call, or in several of `chunk` steps each.
template <class T> void call(std::vector<gatewise::Job<T>> jobs, const Way &way) {
  const int64_t steps = jobs[0].steps, chunk = way.chunk ? way.chunk : steps;
  for (int64_t done = 0; done < steps; done += chunk) {
    for (gatewise::Job<T> &job : jobs) {
      const int64_t until = std::min(done + chunk, steps);
      job.begin = job.backward ? steps - until : done;
      job.end = job.backward ? steps - done : until;
    }
    if (Engine<T>::run(jobs.data(), jobs.size(), way.slices, team)) throw std::bad_alloc();
  }
}

inline gatewise::ArrayKind previous(gatewise::ArrayKind kind) {
  return kind == gatewise::indexed ? gatewise::indexed_previous : gatewise::sequence_previous;
}

// Directions side by side, forward and, when asked, backward.
template <class T>
std::vector<Result> run(const description::Cell &cell, const std::vector<Problem> &problems, const Way &way,
                        bool backward) {
  const int64_t hidden = problems[0].shape.hidden, rows = problems[0].shape.rows, states = cell.states.size();
  const int64_t gap = 5, stride = hidden + gap; // the output's rows stand apart, as those of two directions do
  std::deque<Layout<T>> forward, back;
  std::vector<gatewise::Job<T>> jobs;
  struct Kept {
    T *values;
    std::vector<T *> sequences, initial, finals;
  };
  std::vector<Kept> kept;
  team_size = way.team;
  const auto stride_of = [&](int64_t state) { return state ? hidden : stride; };
  for (const Problem &problem : problems) {
    Layout<T> &layout = forward.emplace_back(cell, cell.forward, problem, way, false);
    Kept &one = kept.emplace_back();
    const int64_t saved = layout.blocks_of("saved"), between = layout.blocks_of("between");
    one.values = backward ? layout.empty(problem.places * saved * hidden) : nullptr;
    layout.input_array(way.slices);
    layout.array("saved", backward ? gatewise::sequence : gatewise::absent, one.values, saved * hidden);
    layout.array("between", gatewise::per_row, layout.empty(rows * between * hidden), between * hidden);
    for (int64_t i = 0; i < states; ++i) {
      const bool whole = i == 0 || backward;
      const int64_t count = !whole ? 2 * rows : i ? problem.places : problem.caller_rows();
      one.sequences.push_back(layout.empty(std::max<int64_t>(0, count * stride_of(i) - (i ? 0 : gap))));
      one.initial.push_back(layout.states(problem.initial[i]));
      one.finals.push_back(layout.empty(rows * hidden));
      const gatewise::ArrayKind next = i ? gatewise::sequence : problem.caller_kind();
      layout.array("next " + cell.states[i], whole ? next : gatewise::alternating, one.sequences[i], stride_of(i));
      layout.array("previous " + cell.states[i], whole ? previous(next) : gatewise::alternating_previous,
                   one.sequences[i], stride_of(i), one.initial[i]);
      layout.final("previous " + cell.states[i], one.finals[i]);
    }
    jobs.push_back(layout.finished(nullptr, 0));
  }
  call(jobs, way);

  std::vector<Result> results(problems.size());
  for (size_t p = 0; p < problems.size(); ++p) {
    Result &result = results[p];
    for (int64_t place = 0; place < problems[p].places; ++place) {
      const int64_t at = problems[p].caller_row(place);
      const T *row = kept[p].sequences[0] + at * stride;
      result.output.insert(result.output.end(), row, row + hidden);
      if (at + 1 < problems[p].caller_rows())
        for (int64_t u = hidden; u < stride; ++u) result.intact &= row[u] != row[u];
    }
    const int64_t rows_written = std::count_if(
        kept[p].sequences[0], kept[p].sequences[0] + std::max<int64_t>(0, problems[p].caller_rows() * stride - gap),
        [](T value) { return value == value; });
    result.intact &= rows_written == problems[p].places * hidden;
    for (const T *final : kept[p].finals) result.finals.push_back(forward[p].from_states(final));
  }
  if (!backward) return results;

  jobs.clear();
  struct Made {
    T *delta, *sums, *shown;
    std::vector<double> norms;
    std::vector<T *> initial;
    std::vector<std::pair<std::string, T *>> operands;
  };
  std::vector<Made> made;
  for (size_t p = 0; p < problems.size(); ++p) {
    const Problem &problem = problems[p];
    Layout<T> &layout = back.emplace_back(cell, cell.backward, problem, way, true);
    Made &one = made.emplace_back();
    const int64_t deltas = layout.blocks_of("delta"), between = layout.blocks_of("between");
    one.delta = layout.empty(problem.places * deltas * hidden);
    one.sums = layout.fill(way.slices * cell.sums.size() * hidden, 0);
    layout.array("saved", gatewise::sequence, kept[p].values, forward[p].blocks_of("saved") * hidden);
    layout.array("output gradient", problem.caller_kind(), layout.callers(problem.output_gradient, hidden), hidden);
    layout.array("delta", gatewise::sequence, one.delta, deltas * hidden);
    // With two slices nobody wants the gradients themselves.
    one.shown = way.slices == 2 ? nullptr : layout.empty(problem.places * states * hidden);
    layout.array("state gradients", one.shown ? gatewise::sequence : gatewise::per_row,
                 one.shown ? one.shown : layout.empty(rows * states * hidden), states * hidden);
    one.norms.resize((way.split_units ? way.slices : 1) * problem.places * states,
                     std::numeric_limits<double>::quiet_NaN());
    layout.measure("state gradients", one.norms.data(), states);
    layout.array("between", gatewise::per_row, layout.empty(rows * between * hidden), between * hidden);
    for (int64_t i = 0; i < states; ++i) {
      const std::string &state = cell.states[i];
      T *const carried = layout.empty(rows * hidden);
      one.initial.push_back(layout.empty(rows * hidden));
      const gatewise::ArrayKind next = i ? gatewise::sequence : problem.caller_kind();
      layout.array("previous " + state, previous(next), kept[p].sequences[i], stride_of(i), kept[p].initial[i]);
      layout.array("next " + state, next, kept[p].sequences[i], stride_of(i));
      layout.array("arriving " + state, gatewise::gradient_arriving, carried, hidden,
                   layout.states(problem.final_gradients[i]));
      layout.array("sent " + state, gatewise::per_row, carried, hidden);
      layout.final("arriving " + state, one.initial[i]);
    }
    for (const description::Array &array : cell.backward.arrays)
      if (array.name.starts_with("operand ")) {
        one.operands.emplace_back(array.name, layout.empty(problem.places * hidden));
        layout.array(array.name, gatewise::sequence, one.operands.back().second, hidden);
      }
    jobs.push_back(layout.finished(one.sums, cell.sums.size()));
  }
  call(jobs, way);

  for (size_t p = 0; p < problems.size(); ++p) {
    Result &result = results[p];
    const int64_t places = problems[p].places, deltas = back[p].blocks_of("delta"), width = problems[p].shape.inputs;
    const auto delta = [&](int64_t place, int64_t block) { return made[p].delta + (place * deltas + block) * hidden; };
    result.x_gradient.assign(places * width, 0);
    result.input_matrix_gradients.assign(cell.inputs(), Values(hidden * width, 0));
    for (int64_t place = 0; place < places; ++place)
      for (int value = 0; value < cell.inputs(); ++value) {
        const T *row = delta(place, cell.input_gradients[value]);
        result.value_gradient.insert(result.value_gradient.end(), row, row + hidden);
        for (int64_t u = 0; u < hidden; ++u)
          for (int64_t i = 0; i < width; ++i) {
            result.x_gradient[place * width + i] += row[u] * problems[p].input_matrices[value][u * width + i];
            result.input_matrix_gradients[value][u * width + i] += row[u] * problems[p].x[place * width + i];
          }
      }
    for (const T *gradient : made[p].initial) result.initial_gradients.push_back(back[p].from_states(gradient));
    result.matrix_gradients.assign(cell.matrices, Values(hidden * hidden, 0));
    for (const description::Outer &outer : cell.outers)
      for (const auto &[name, operand] : made[p].operands)
        if (name == outer.operand)
          for (int64_t place = 0; place < places; ++place)
            for (int64_t i = 0; i < hidden; ++i)
              for (int64_t j = 0; j < hidden; ++j)
                result.matrix_gradients[outer.matrix][i * hidden + j] +=
                    double(delta(place, outer.delta)[i]) * operand[place * hidden + j];
    for (size_t k = 0; k < cell.sums.size(); ++k) {
      Values total(hidden, 0);
      for (int64_t slice = 0; slice < way.slices; ++slice)
        for (int64_t u = 0; u < hidden; ++u) total[u] += made[p].sums[(slice * cell.sums.size() + k) * hidden + u];
      result.vector_gradients.push_back(total);
    }
    const int64_t norms = places * states;
    for (int64_t i = 0; i < norms; ++i) {
      double sum = 0;
      for (size_t at = i; at < made[p].norms.size(); at += norms) sum += made[p].norms[at];
      result.norms.push_back(way.split_units ? std::sqrt(sum) : sum);
      sum = 0;
      for (int64_t u = 0; made[p].shown && u < hidden; ++u)
        sum += made[p].shown[i * hidden + u] * made[p].shown[i * hidden + u];
      result.norms_of_gradients.push_back(made[p].shown ? std::sqrt(sum) : result.norms.back());
    }
  }
  return results;
}
