// One call of the engine, forward and backward, in buffers exactly as long as they must be and full of NaN.
#pragma once

#include "api.h"
#include "check.h"
#include "program.h"

#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <sstream>

extern "C" {
int64_t gatewise_abi();
const gatewise_field *gatewise_fields(int64_t *count);
int64_t gatewise_saved_blocks(const void *program);
int64_t gatewise_saved_projections(const void *program);
int64_t gatewise_saved_row_values(const void *program);
int64_t gatewise_forward(gatewise_call *call);
int64_t gatewise_backward(gatewise_call *call);
}

enum Ragged { no, some, nothing }; // lengths: none, any, all zero

struct Shape {
  int64_t steps, rows, inputs, hidden, directions = 1;
  bool reverse = false;
  Ragged ragged = no;
  bool reset = false;
};

// In which way a call is made.
struct Way {
  int64_t threads = 1, workers = 1, team = 8;
  bool small = true; // share out the smallest call, too
  int64_t chunk = 0, checkpoint = 0;
  int layout = 0;                    // of x, and another of the output: dense, rows apart, batch first, steps apart
  bool held = false;                 // packed weights outlive the call
  int64_t accumulate = 0;            // as in the call
  int unwanted = 0;                  // of all results every second one is not wanted
  bool norms = false, shown = false; // observers
  bool nulls = false;                // what is all zeros is null
  bool room = false;                 // more for saved values than the lengths need
  int64_t offset = 0;                // of the workspace from its alignment
  int64_t precision = 0;             // as in the call
};

// What a call computes from, by name; numbers that both number types hold.
struct Problem {
  const gatewise::Program &program;
  Shape shape;
  std::map<std::string, Values> inputs;
  std::vector<int64_t> lengths;
  std::vector<uint8_t> reset;

  Problem(const gatewise::Program &program, const Shape &shape, unsigned seed) : program(program), shape(shape) {
    std::mt19937 random(seed);
    const auto [steps, rows, width, hidden, directions, reverse, ragged, resets] = shape;
    for (int64_t r = 0; ragged && r < rows; ++r)
      lengths.push_back(ragged == nothing || r == 1 ? 0 : r == 2 ? steps : random() % (steps + 1));
    for (int64_t i = 0; resets && i < steps * rows; ++i) reset.push_back(random() % 4 == 0);
    const auto draw = [&](const std::string &name, int64_t count, double scale) {
      std::normal_distribution<double> normal;
      Values &values = inputs[name];
      for (int64_t i = 0; i < count; ++i) values.push_back(float(scale * normal(random)));
    };
    draw("x", steps * rows * width, 1);
    draw("output", steps * rows * directions * this->width(0), 1); // its gradient
    for (int64_t s = 0; s < program.state_count; ++s) {
      const int64_t own = directions * rows * this->width(s);
      draw("initial " + std::to_string(s), own, 1);
      for (double &value : inputs["initial 2"]) value = 1 + std::abs(value); // the normaliser of an sLSTM
      draw("final " + std::to_string(s), own, 1);                            // its gradient
      draw("sequence " + std::to_string(s), steps * own, 1);                 // its gradient
    }
    for (int64_t d = 0; d < directions; ++d)
      for (int64_t g = 0; g < program.group_count; ++g)
        draw(parameter(d, g), program.groups[g].gates * size(program.groups[g].rows) * columns(g),
             1 / std::sqrt(columns(g)));
  }

  static std::string parameter(int64_t d, int64_t g) { return "parameter " + std::to_string(d) + std::to_string(g); }
  int64_t columns(int64_t group) const {
    const int64_t size = program.groups[group].columns;
    return size < 0 ? 1 : this->size(size) / (program.groups[group].divided ? heads() : 1);
  }
  // The fewest that there can be, but more than one.
  int64_t heads() const {
    int64_t n = 2;
    while (n < shape.hidden && shape.hidden % n) ++n;
    return n < shape.hidden ? n : 1;
  }
  int64_t projection() const { return (shape.hidden + 1) / 2; }
  int64_t size(int64_t of) const {
    return of == gatewise::size_input ? shape.inputs : of == gatewise::size_projection ? projection() : shape.hidden;
  }
  // Of a state, and of all before it.
  int64_t width(int64_t state) const { return size(program.states[state]); }
  int64_t offset(int64_t state) const {
    int64_t sum = 0;
    for (int64_t s = 0; s < state; ++s) sum += width(s);
    return sum;
  }
  int64_t all_states() const { return offset(program.state_count); }
  int64_t length(int64_t row) const { return lengths.empty() ? shape.steps : lengths[row]; }
  bool reverse(int64_t d) const { return shape.directions == 2 ? d == 1 : shape.reverse; }
};

inline std::string text(const Problem &problem, const Way &way = {}) {
  const Shape &shape = problem.shape;
  std::ostringstream all;
  all << problem.program.name << " T " << shape.steps << " B " << shape.rows << " I " << shape.inputs << " H "
      << shape.hidden << " D " << shape.directions << " reverse " << shape.reverse << " ragged " << shape.ragged
      << " reset " << shape.reset;
  all << " threads " << way.threads << " workers " << way.workers << " team " << way.team << " small " << way.small
      << " chunk " << way.chunk << " checkpoint " << way.checkpoint << " layout " << way.layout << " held " << way.held
      << " accumulate " << way.accumulate << " unwanted " << way.unwanted << " norms " << way.norms << " shown "
      << way.shown << " nulls " << way.nulls << " room " << way.room << " offset " << way.offset;
  return all.str();
}

// By name: "output", "final 0", …, "gradient of x", …; for observers "norms", "values", "gradients".
using Result = std::map<std::string, Values>;
inline void compare_all(const std::string &what, const Result &got, const Result &wanted, double tolerance) {
  for (const auto &[name, values] : got) compare(what + ": " + name, values, wanted.at(name), tolerance);
}

// (steps, rows, width) with strides; what stands between the rows is 77.
template <class E> struct Strided {
  int64_t steps, rows, width, step_stride, row_stride;
  std::vector<E> memory;

  Strided(int64_t steps, int64_t rows, int64_t width, int layout) : steps(steps), rows(rows), width(width) {
    const int64_t gap = layout ? 3 : 0;
    row_stride = layout == 2 ? steps * (width + gap) : width + gap;
    step_stride = layout == 2 ? width + gap : rows * row_stride + (layout == 3 ? 5 : 0);
    memory.assign((steps - 1) * step_stride + (rows - 1) * row_stride + width, E(77));
  }
  // Calls visit(element, number).
  template <class Visit> void each(Visit visit) {
    for (int64_t t = 0, i = 0; t < steps; ++t)
      for (int64_t r = 0; r < rows; ++r)
        for (int64_t u = 0; u < width; ++u) visit(memory[t * step_stride + r * row_stride + u], i++);
  }
  gatewise_sequence view() { return {memory.data(), int64_t(memory.size()), step_stride, row_stride}; }
  bool is_intact() {
    int64_t gaps = int64_t(memory.size()) - steps * rows * width;
    std::vector<E> copy = memory;
    each([](E &element, int64_t) { element = E(0); });
    gaps -= std::count(memory.begin(), memory.end(), E(77));
    memory = std::move(copy);
    return gaps == 0;
  }
};

// Memory for packed weights, of the size that the engine asks for; the next call fills it.
inline std::vector<uint8_t> hold_weights(gatewise_call &own, bool backward, const std::string &name) {
  own.weights = {&own, 0};
  expect(name + ": weights are asked for",
         (backward ? gatewise_backward(&own) : gatewise_forward(&own)) == GATEWISE_NEEDS_WEIGHTS);
  std::vector<uint8_t> weights(own.needed, 255);
  own.weights = {weights.data(), own.needed};
  return weights;
}

// All of a forward pass, in a workspace of its own.
inline void finish(gatewise_call &own, const std::string &name) {
  own.workspace = {}, own.position = 0;
  expect(name + ": a workspace is asked for", gatewise_forward(&own) == GATEWISE_NEEDS_WORKSPACE);
  std::vector<uint8_t> memory(own.needed, 255);
  own.workspace = {memory.data(), own.needed};
  int64_t code;
  while ((code = gatewise_forward(&own)) == GATEWISE_MORE) {}
  expect(name + ": everything is done", code == GATEWISE_OK);
}

template <class T> class Run {
public:
  gatewise_call call{};
  std::vector<gatewise_state> states;
  std::vector<gatewise_parameter> parameters;
  std::vector<gatewise_mask> masks; // in evaluation: single steps have the same ones
  double seconds[GATEWISE_PHASES]{};
  gatewise_team took{};

  Run(const Problem &problem, const Way &way)
      : problem(problem), way(way), shape(problem.shape), program(problem.program), x(sequence(shape.inputs, 0)),
        x_gradient(sequence(shape.inputs, 0)), output(sequence(shape.directions * problem.width(0), 1)),
        output_gradient(sequence(shape.directions * problem.width(0), 1)),
        reset(shape.steps, shape.rows, 1, way.layout) {
    const auto [steps, rows, width, hidden, directions, reverse, ragged, resets] = shape;
    call.struct_size = sizeof call, call.abi = gatewise_abi(), call.dtype = sizeof(T);
    call.steps = steps, call.rows = rows, call.input_size = width, call.hidden_size = hidden;
    call.projection_size = problem.projection(), call.heads = problem.heads();
    call.directions = directions, call.layers = 1, call.reverse = reverse;
    call.precision = way.precision;
    call.threads = way.threads, call.workers = way.workers, call.chunk = way.chunk, call.checkpoint = way.checkpoint;
    call.share_small = way.small, call.accumulate = way.accumulate;
    call.program = &program, call.pool = team, call.seconds = seconds, call.team = &took;
    fill(x, "x"), fill(output_gradient, "output");
    output.each([](T &to, int64_t) { to = nan; });
    x_gradient.each([&](T &to, int64_t i) { to = start(i, 1); });
    call.x = x.view(), call.output = output.view();
    if (!is_null("output")) call.output_gradient = output_gradient.view();
    if (is_wanted()) call.x_gradient = x_gradient.view();
    if (ragged) call.lengths = {const_cast<int64_t *>(problem.lengths.data()), rows};
    reset.each([&](uint8_t &to, int64_t i) { to = resets && problem.reset[i]; });
    if (resets) call.reset = reset.view();
    for (int64_t r = 0; r < rows; ++r) places += problem.length(r);
    saved_width = gatewise_saved_blocks(&program) * hidden + gatewise_saved_row_values(&program) +
                  gatewise_saved_projections(&program) * problem.projection();
    saved_rows = way.room ? steps * rows : places;
    const int64_t all = directions * steps * rows * program.state_count, of_states = problem.all_states();
    if (way.checkpoint)
      call.boundaries = empty((steps + way.checkpoint - 1) / way.checkpoint * directions * rows * of_states);
    else call.saved = empty(directions * saved_rows * saved_width);
    norms.assign(all, std::numeric_limits<double>::quiet_NaN());
    if (way.norms) call.norms = {norms.data(), all};
    if (way.shown) call.state_values = empty(directions * steps * rows * of_states);
    if (way.shown) call.state_gradients = empty(directions * steps * rows * of_states);
    for (int64_t s = 0; s < program.state_count; ++s) {
      const int64_t state = directions * rows * problem.width(s);
      states.push_back({given("initial " + std::to_string(s)), is_wanted() ? empty(state) : none,
                        given("final " + std::to_string(s)), is_wanted() ? empty(state) : none});
    }
    for (int64_t s = 1; s < program.state_count; ++s) {
      Strided<T> &values = sequences.emplace_back(sequence(directions * problem.width(s), 1));
      Strided<T> &gradient = sequence_gradients.emplace_back(sequence(directions * problem.width(s), 0));
      values.each([](T &to, int64_t) { to = nan; }), fill(gradient, "sequence " + std::to_string(s));
      states[s].sequence = values.view();
      if (!is_null("sequence " + std::to_string(s))) states[s].sequence_gradient = gradient.view();
    }
    for (int64_t d = 0; d < directions; ++d)
      for (int64_t g = 0; g < program.group_count; ++g) {
        const gatewise_dense value = given(Problem::parameter(d, g));
        gatewise_dense gradient = is_wanted() ? empty(value.count) : none;
        for (int64_t i = 0; gradient.data && i < value.count; ++i) static_cast<T *>(gradient.data)[i] = start(i, 2);
        parameters.push_back({value, gradient, none});
      }
    call.states = states.data(), call.parameters = parameters.data();
    masks.assign(program.mask_count, {0, 0.75});
    call.masks = masks.data();
  }
  Run(const Run &) = delete;

  // What the engine is called with for a pass, but for the workspace.
  gatewise_call of_pass(bool backward) const {
    gatewise_call own = call;
    if (backward && way.checkpoint) own.output = {}; // it is computed again
    return own;
  }

  // All of a pass, first in a workspace that is too short. Held weights are packed by the first call, and only read by
  // the second.
  void pass(bool backward) {
    team_size = way.team;
    gatewise_call own = of_pass(backward);
    std::vector<uint8_t> weights;
    if (way.held) weights = hold_weights(own, backward, text(problem, way));
    whole(own, backward);
    if (!way.held || way.accumulate) return;
    const std::vector<uint8_t> packed = weights;
    own.weights_filled = 1;
    whole(own, backward);
    check("held weights are only read", weights == packed);
    ++own.weights_layout;
    check("weights of another layout are rejected", one(own, backward) == GATEWISE_NEEDS_WEIGHTS);
  }

  Result result(bool backward) {
    Result all;
    const auto keep = [&](const std::string &name, const gatewise_dense &from, bool added = false) {
      for (int64_t i = 0; from.data && i < from.count; ++i)
        all[name].push_back(static_cast<T *>(from.data)[i] - (added ? start(i, 2) : T(0)));
    };
    const auto keep_all = [&](const std::string &name, Strided<T> &from, bool added = false) {
      from.each([&](T &value, int64_t i) { all[name].push_back(value - (added ? start(i, 1) : T(0))); });
      check(name + " between its rows", from.is_intact());
    };
    keep_all("output", output);
    for (int64_t s = 0; s < program.state_count; ++s) keep("final " + std::to_string(s), states[s].final);
    for (size_t s = 0; s < sequences.size(); ++s) keep_all("sequence " + std::to_string(s + 1), sequences[s]);
    if (way.shown) all["values"] = seen(static_cast<T *>(call.state_values.data), true);
    for (int64_t d = 0; call.saved.data && d < shape.directions; ++d)
      for (int64_t i = places * saved_width; i < saved_rows * saved_width; ++i)
        if (static_cast<T *>(call.saved.data)[d * saved_rows * saved_width + i] != 0)
          check("room for more rows is zeroed", false);
    if (!backward) return all;
    if (call.x_gradient.data) keep_all("gradient of x", x_gradient, way.accumulate & 1);
    for (int64_t s = 0; s < program.state_count; ++s)
      keep("gradient of initial " + std::to_string(s), states[s].initial_gradient);
    for (int64_t d = 0; d < shape.directions; ++d)
      for (int64_t g = 0; g < program.group_count; ++g)
        keep("gradient of " + Problem::parameter(d, g), parameters[d * program.group_count + g].gradient,
             way.accumulate & 2);
    if (way.norms) all["norms"] = seen(norms.data(), false, true);
    if (way.shown) all["gradients"] = seen(static_cast<T *>(call.state_gradients.data), false);
    return all;
  }

private:
  static constexpr T nan = std::numeric_limits<T>::quiet_NaN();
  static constexpr gatewise_dense none{};
  const Problem &problem;
  const Way way;
  const Shape shape;
  const gatewise::Program &program;
  int64_t places = 0, saved_width, saved_rows;
  int asked = 0;
  std::deque<std::vector<T>> buffers;
  Strided<T> x, x_gradient, output, output_gradient;
  std::deque<Strided<T>> sequences, sequence_gradients; // of the states but the first
  Strided<uint8_t> reset;
  std::vector<double> norms;

  template <class What> void check(const What &what, bool right) const {
    if (!right) expect(text(problem, way) + ": " + what, false);
    else ++comparisons;
  }
  Strided<T> sequence(int64_t width, int turn) const {
    return {shape.steps, shape.rows, width, way.layout ? (way.layout + turn) % 3 + 1 : 0};
  }
  bool is_wanted() { return !way.unwanted || (asked++ + way.unwanted) % 2; }
  bool is_null(const std::string &name) const {
    const Values &values = problem.inputs.at(name);
    return way.nulls && std::count(values.begin(), values.end(), 0) == int64_t(values.size());
  }
  gatewise_dense view(std::vector<T> &buffer) const { return {buffer.data(), int64_t(buffer.size())}; }
  gatewise_dense empty(int64_t count) { return view(buffers.emplace_back(count, nan)); }
  gatewise_dense given(const std::string &name) {
    const Values &values = problem.inputs.at(name);
    return is_null(name) ? none : view(buffers.emplace_back(values.begin(), values.end()));
  }
  void fill(Strided<T> &to, const std::string &name) const {
    to.each([&](T &element, int64_t i) { element = T(problem.inputs.at(name)[i]); });
  }
  // What a gradient that is added to begins with.
  T start(int64_t i, int64_t bit) const { return way.accumulate & bit ? T(i % 7) / 2 - 1 : nan; }

  static int64_t one(gatewise_call &own, bool backward) {
    return backward ? gatewise_backward(&own) : gatewise_forward(&own);
  }
  void whole(gatewise_call &own, bool backward) const {
    own.workspace = {}, own.position = 0;
    check("a workspace is asked for", one(own, backward) == GATEWISE_NEEDS_WORKSPACE);
    const int64_t before = way.offset ? 64 - way.offset : 0, size = own.needed - 64 + before; // up to the alignment
    const std::unique_ptr<void, decltype(&std::free)> memory(std::aligned_alloc(64, way.offset + size), &std::free);
    std::memset(memory.get(), 255, way.offset + size);
    own.workspace = {static_cast<uint8_t *>(memory.get()) + way.offset, size - 1};
    check("a byte less is rejected", one(own, backward) == GATEWISE_NEEDS_WORKSPACE && own.needed >= size);
    own.workspace.count = size;
    int64_t code, calls = 1;
    while ((code = one(own, backward)) == GATEWISE_MORE) ++calls;
    own.workspace = {};
    check("everything is done", code == GATEWISE_OK);
    const int64_t segments = way.checkpoint ? (shape.steps + way.checkpoint - 1) / way.checkpoint : 1;
    check("parts",
          way.chunk == 1 ? calls >= shape.steps : way.chunk || calls == segments << (backward && way.checkpoint));
    for (double phase : seconds) check("seconds", phase >= 0);
    check("seconds of the loop", seconds[GATEWISE_LOOP] > 0);
    const bool shared =
        way.small && shape.rows > 1 && way.workers >= way.threads && way.team >= way.threads && way.threads > 1;
    check("what a team took", shared ? took.seconds > 0 : way.workers > 1 || took.seconds == 0);
  }

  // (D, T·B, S) or (D, S, T·B) of what observers see, norms or whole states, where a row has ended untouched and here
  // 0.
  template <class E> Values seen(const E *from, bool by_state, bool norms = false) const {
    const int64_t rows = shape.steps * shape.rows, count = program.state_count;
    const int64_t all = norms ? count : problem.all_states();
    Values values;
    for (int64_t d = 0; d < shape.directions; ++d)
      for (int64_t place = 0; place < rows; ++place)
        for (int64_t s = 0; s < count; ++s)
          for (int64_t u = 0; u < (norms ? 1 : problem.width(s)); ++u) {
            const int64_t before = norms ? s : problem.offset(s), width = norms ? 1 : problem.width(s);
            const int64_t at = by_state ? (d * all + before) * rows + place * width : (d * rows + place) * all + before;
            const double value = from[at + u];
            const bool padding = place / shape.rows >= problem.length(place % shape.rows);
            if (padding && value == value) check("padding that observers see", false);
            values.push_back(padding ? 0 : value);
          }
    return values;
  }
};

template <class T> Result run(const Problem &problem, const Way &way = {}, bool backward = true) {
  Run<T> one(problem, way);
  one.pass(false);
  if (backward) one.pass(true);
  return one.result(backward);
}
