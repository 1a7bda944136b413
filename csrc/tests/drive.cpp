// Drives the engine through its C interface over every cell that it is linked with: gradients against differences,
// calls against single steps, every variant of a call against the plain one, invalid calls.
// With the argument "threads", only what has threads; with "half", each cell in every other shape.
#include "run.h"
#include "stacks.h"

#include <string_view>
#include <utility>

// Written by cells.py.
extern const gatewise::Program *const cells[];
extern const int64_t cell_count;

namespace {

// What a call computes by its definition, made of calls of one step and one row, forward, without lengths or resets.
Result unrolled(const Problem &problem) {
  const auto [steps, rows, width, hidden, directions, reverse_alone, ragged, resets] = problem.shape;
  const int64_t count = problem.program.state_count;
  Problem one(problem.program, {1, 1, width, hidden}, 0);
  Way watched;
  watched.shown = true;
  Result all;
  const auto room = [&](const std::string &name, int64_t size) { all[name].assign(size, 0); };
  const auto of = [&](int64_t s) { return problem.width(s); };
  room("output", steps * rows * directions * of(0)), room("gradient of x", steps * rows * width);
  room("norms", directions * steps * rows * count);
  for (const char *name : {"values", "gradients"}) room(name, directions * steps * rows * problem.all_states());
  for (int64_t s = 0; s < count; ++s)
    for (const char *name : {"final ", "gradient of initial "})
      room(name + std::to_string(s), directions * rows * of(s));
  for (int64_t s = 1; s < count; ++s) room("sequence " + std::to_string(s), steps * rows * directions * of(s));
  for (int64_t d = 0; d < directions; ++d)
    for (int64_t g = 0; g < problem.program.group_count; ++g)
      room("gradient of " + Problem::parameter(d, g), problem.inputs.at(Problem::parameter(d, g)).size());
  const auto part = [&](const Values &from, int64_t at, int64_t size) {
    return Values(from.begin() + at * size, from.begin() + (at + 1) * size);
  };
  // A state among all that observers see at a place.
  const auto part_of_states = [&](const Values &from, int64_t s) {
    return Values(from.begin() + problem.offset(s), from.begin() + problem.offset(s + 1));
  };
  const auto put_state = [&](Values &to, int64_t place, int64_t s, const Values &values) {
    std::copy(values.begin(), values.end(), to.begin() + place * problem.all_states() + problem.offset(s));
  };
  const auto put = [&](Values &to, int64_t at, const Values &values, bool add = false) {
    for (size_t u = 0; u < values.size(); ++u)
      to[at * values.size() + u] = values[u] + (add ? to[at * values.size() + u] : 0);
  };
  for (int64_t d = 0; d < directions; ++d) {
    for (int64_t g = 0; g < problem.program.group_count; ++g)
      one.inputs[Problem::parameter(0, g)] = problem.inputs.at(Problem::parameter(d, g));
    for (int64_t b = 0; b < rows; ++b) {
      const int64_t length = problem.length(b), state_at = d * rows + b;
      const bool reverse = problem.reverse(d);
      // Whether nothing flows between the row's own steps s − 1 and s.
      const auto cut = [&](int64_t s) {
        const int64_t time = reverse ? length - s : s;
        return resets && time >= 0 && time < length && problem.reset[time * rows + b];
      };
      const auto each_state = [&](auto visit) {
        for (int64_t s = 0; s < count; ++s) visit(s, std::to_string(s));
      };
      std::vector<Values> state(count);
      std::vector<std::vector<Values>> before;
      each_state([&](int64_t s, auto name) { state[s] = part(problem.inputs.at("initial " + name), state_at, of(s)); });
      const auto step = [&](int64_t k, const std::vector<Values> &from) {
        const int64_t place = (reverse ? length - 1 - k : k) * rows + b;
        one.inputs["x"] = part(problem.inputs.at("x"), place, width);
        one.inputs["output"] = part(problem.inputs.at("output"), place * directions + d, of(0));
        each_state([&](int64_t s, auto name) {
          one.inputs["initial " + name] = from[s];
          one.inputs["sequence " + name] = part(problem.inputs.at("sequence " + name), place * directions + d, of(s));
        });
        return place;
      };
      for (int64_t k = 0; k < length; ++k) {
        if (cut(k)) each_state([&](int64_t s, auto) { state[s].assign(of(s), 0); });
        before.push_back(state);
        const int64_t place = step(k, state);
        const Result after = run<double>(one, watched, false);
        put(all["output"], place * directions + d, after.at("output"));
        each_state([&](int64_t s, auto name) {
          state[s] = after.at("final " + name);
          put_state(all["values"], d * steps * rows + place, s, state[s]);
          if (s) put(all["sequence " + name], place * directions + d, after.at("sequence " + name));
          compare("final states are those that observers see", part_of_states(after.at("values"), s), state[s], 0);
        });
      }
      std::vector<Values> gradient(count);
      each_state([&](int64_t s, auto name) {
        if (length && cut(length)) state[s].assign(of(s), 0), gradient[s].assign(of(s), 0);
        else gradient[s] = part(problem.inputs.at("final " + name), state_at, of(s));
        put(all["final " + name], state_at, state[s]);
      });
      for (int64_t k = length - 1; k >= 0; --k) {
        const int64_t place = step(k, before[k]);
        each_state([&](int64_t s, auto name) { one.inputs["final " + name] = gradient[s]; });
        const Result after = run<double>(one, watched);
        put(all["gradient of x"], place, after.at("gradient of x"), true);
        for (int64_t g = 0; g < problem.program.group_count; ++g)
          put(all["gradient of " + Problem::parameter(d, g)], 0, after.at("gradient of " + Problem::parameter(0, g)),
              true);
        each_state([&](int64_t s, auto name) {
          // What reaches a state from others of its step is seen by the step alone.
          Values whole = part_of_states(after.at("gradients"), s), expected = gradient[s];
          for (int64_t u = 0; s == 0 && u < of(s); ++u) expected[u] += one.inputs["output"][u];
          if (s == 0) compare(text(problem) + ": gradient of the output", whole, expected, 1e-12);
          const int64_t at = (d * steps * rows + place) * count + s;
          put_state(all["gradients"], d * steps * rows + place, s, whole);
          double sum = 0;
          for (double value : whole) sum += value * value;
          all["norms"][at] = std::sqrt(sum);
          gradient[s] = cut(k) ? Values(of(s), 0) : after.at("gradient of initial " + name);
        });
      }
      each_state([&](int64_t s, auto name) { put(all["gradient of initial " + name], state_at, gradient[s]); });
    }
  }
  return all;
}

double loss(const Problem &problem) {
  double sum = 0;
  for (const auto &[name, values] : run<double>(problem, {}, false))
    for (size_t i = 0; i < values.size(); ++i) sum += values[i] * problem.inputs.at(name)[i];
  return sum;
}

// Some elements of every gradient against what the loss does when they are moved.
void check_gradients(Problem problem) {
  const Result result = run<double>(problem);
  std::mt19937 random(5);
  for (auto &[name, values] : problem.inputs) {
    if (!result.contains("gradient of " + name)) continue;
    for (int i = 0; i < 4; ++i) {
      const size_t at = random() % values.size();
      const double before = values[at], step = 1e-6;
      values[at] = before + step;
      const double above = loss(problem);
      values[at] = before - step;
      const double below = loss(problem);
      values[at] = before;
      compare(text(problem) + ": differences of " + name, {result.at("gradient of " + name)[at]},
              {(above - below) / (2 * step)}, 1e-6);
    }
  }
}

const std::vector<Way> ways = {
    {.threads = 2, .workers = 2},
    {.threads = 3, .workers = 2, .chunk = 1, .layout = 1},
    {.threads = 4, .workers = 3, .checkpoint = 2, .norms = true, .offset = 1},
    {.threads = 5, .workers = 5, .chunk = 1, .checkpoint = 3, .layout = 2},
    {.threads = 5, .workers = 4, .team = 2, .layout = 1, .accumulate = 3},
    {.threads = 4, .workers = 4, .norms = true, .shown = true, .room = true},
    {.layout = 3, .shown = true, .offset = 63},
    {.chunk = 1, .checkpoint = 2, .layout = 3, .accumulate = 1, .norms = true, .shown = true},
    {.held = true, .offset = 16},
    {.threads = 2, .workers = 2, .chunk = 5000, .held = true, .norms = true},
    {.threads = 3, .workers = 3, .checkpoint = 2, .held = true, .shown = true},
    {.layout = 2, .accumulate = 2, .unwanted = 1},
    {.threads = 2, .workers = 2, .checkpoint = 3, .unwanted = 2, .norms = true, .room = true},
    {.threads = 4, .workers = 4, .chunk = 1, .accumulate = 3, .unwanted = 1},
    {.threads = 2, .workers = 2, .small = false},
};

// All variants of a call compute the same, with the same bits on any number of workers and in any workspace.
void check_way(const Problem &problem, const Result &wanted, const Way &way, int64_t offset) {
  const std::string name = text(problem, way);
  const Result got = run<double>(problem, way);
  compare_all(name, got, wanted, 1e-12);
  compare_all(name + ", forward alone", run<double>(problem, way, false), wanted, 1e-12);
  compare_all(name + ", float", run<float>(problem, way), wanted, 2e-4);
  Way again = way;
  again.workers = again.workers % 5 + 1, again.offset = offset;
  compare_all(name + ", bits", run<double>(problem, again), got, 0);
  Way rounded = way;
  rounded.precision = 16;
  const Result narrow = run<float>(problem, rounded);
  compare_all(name + ", bfloat16", run<float>(problem, rounded, false), wanted, 0.1); // gradients have kinks
  rounded.workers = again.workers, rounded.offset = offset;
  compare_all(name + ", bfloat16, bits", run<float>(problem, rounded), narrow, 0);
}

// Null is zero.
void check_nulls(Problem problem) {
  for (const std::vector<std::string> &zeros :
       {std::vector<std::string>{"initial 0", "initial 1", "final 0", "final 1"},
        {"output"},
        {"initial 0", "output"}}) {
    Problem one = problem;
    for (const std::string &name : zeros)
      if (one.inputs.contains(name)) std::fill(one.inputs[name].begin(), one.inputs[name].end(), 0);
    for (Way way : {Way{.threads = 2, .workers = 2}, Way{.checkpoint = 2, .norms = true}}) {
      const Result wanted = run<double>(one, way);
      way.nulls = true;
      compare_all(text(problem, way) + " zeros", run<double>(one, way), wanted, 0);
    }
  }
}

// An invalid call does nothing. `change` returns the field that is named, or an empty name.
template <class T> class Rejections {
public:
  explicit Rejections(const Problem &problem, bool checkpoint) : problem(problem) {
    int64_t count;
    fields = gatewise_fields(&count), field_count = count;
    way.norms = way.shown = true, way.checkpoint = checkpoint ? 2 : 0;
    for (bool backward : {false, true}) {
      Run<T> whole(problem, way);
      const gatewise_call usual = whole.of_pass(backward);
      code(usual, backward, GATEWISE_NEEDS_WORKSPACE, "nothing");
      check_codes(usual, backward);
      for (int64_t k = 0; k < field_count; ++k) check_buffer(whole, backward, fields[k]);
    }
  }

private:
  const Problem &problem;
  Way way;
  const gatewise_field *fields;
  int64_t field_count;

  void code(gatewise_call call, bool backward, int64_t wanted, const std::string &what, std::string_view named = {}) {
    const int64_t got = backward ? gatewise_backward(&call) : gatewise_forward(&call);
    const std::string name = text(problem, way) + (backward ? " backward, " : " forward, ") + what;
    compare(name, {double(got)}, {double(wanted)}, 0);
    if (!named.empty() && got == wanted)
      expect(name + ": " + fields[call.needed].name + " is named", fields[call.needed].name == named);
  }
  void check_codes(const gatewise_call &usual, bool backward) {
    gatewise_call call = usual;
    const auto with = [&](auto &field, auto value, int64_t wanted, const char *what, std::string_view named) {
      const auto before = std::exchange(field, value);
      code(call, backward, wanted, what, named);
      field = before;
    };
    const auto bad = [&](auto &field, auto value, const char *what) { with(field, value, GATEWISE_BAD_ABI, what, {}); };
    bad(call.struct_size, 8, "struct_size"), bad(call.abi, 1, "abi"), bad(call.dtype, 2, "dtype");
    bad(call.program, nullptr, "program");
    const auto size = [&](int64_t &field, int64_t value, const char *name) {
      with(field, value, GATEWISE_BAD_SIZE, name, name);
    };
    size(call.steps, -1, "steps"), size(call.rows, -1, "rows"), size(call.input_size, 0, "input_size");
    if (problem.width(0) != call.hidden_size)
      size(call.projection_size, 0, "projection_size"), size(call.projection_size, 99, "projection_size");
    const gatewise::GroupInfo *const groups = problem.program.groups;
    if (std::any_of(groups, groups + problem.program.group_count, [](const auto &group) { return group.divided; }))
      size(call.heads, 0, "heads"), size(call.heads, call.hidden_size + 1, "heads");
    size(call.hidden_size, -1, "hidden_size"), size(call.directions, 0, "directions");
    size(call.directions, 3, "directions"), size(call.layers, 0, "layers"), size(call.threads, 0, "threads");
    size(call.workers, 0, "workers"), size(call.chunk, -1, "chunk"), size(call.checkpoint, -1, "checkpoint");
    size(call.precision, 4, "precision");
    if (sizeof(T) == 8) size(call.precision, 16, "precision");
    if (backward || sizeof(T) == 8 || call.saved.data || call.boundaries.data) size(call.precision, 8, "precision");
    gatewise::Program other = problem.program;
    ++other.abi;
    bad(call.program, &other, "abi of the program");
    if (problem.program.mask_count)
      with(call.masks, static_cast<const gatewise_mask *>(nullptr), GATEWISE_BAD_BUFFER, "no masks", "masks");
    float scale = 1;
    with(call.parameters->scales, gatewise_dense{&scale, int64_t(1) << 40}, GATEWISE_BAD_BUFFER, "scales of floats",
         "parameters.scales");
    std::vector<int64_t> lengths = problem.lengths;
    call.lengths.data = lengths.data();
    for (int64_t wrong : {int64_t(-1), problem.shape.steps + 1}) {
      lengths.back() = wrong;
      code(call, backward, GATEWISE_BAD_LENGTH, "lengths");
    }
    call = usual, call.rows = 0;
    code(call, backward, GATEWISE_OK, "no rows");
  }
  // Each buffer of a name made shorter, and of those without which nothing can be done gone.
  void check_buffer(Run<T> &whole, bool backward, const gatewise_field &field) {
    const std::string name = field.name;
    gatewise_call call = whole.of_pass(backward);
    std::vector<char *> places;
    if (name.starts_with("states."))
      for (gatewise_state &state : whole.states) places.push_back(reinterpret_cast<char *>(&state));
    else if (name.starts_with("parameters."))
      for (gatewise_parameter &one : whole.parameters) places.push_back(reinterpret_cast<char *>(&one));
    else if (field.offset >= int64_t(offsetof(gatewise_call, x)) &&
             field.offset < int64_t(offsetof(gatewise_call, mask_seed)))
      places.push_back(reinterpret_cast<char *>(&call));
    const bool unread = backward ? name == "states.final" || name == "states.sequence" || name == "state_values"
                                 : name.ends_with("gradient") || name == "norms" || name == "state_gradients";
    for (char *place : places) {
      auto &buffer = *reinterpret_cast<gatewise_dense *>(place + field.offset);
      if (!buffer.data || unread) continue;
      const gatewise_dense before = buffer;
      --buffer.count;
      code(call, backward, GATEWISE_BAD_BUFFER, name + " is short", name);
      buffer = before;
      if (name == "x" || name == "output" || name == "parameters.value" || name == "boundaries" ||
          (backward && name == "saved")) {
        buffer.data = nullptr;
        code(call, backward, GATEWISE_BAD_BUFFER, name + " is null", name);
        buffer = before;
      }
    }
  }
};

// Several callers at once read the same held weights.
void check_shared_weights(const Problem &problem) {
  Way way{.threads = 2, .workers = 2};
  const Result wanted = run<double>(problem, way, false);
  Run<double> first(problem, way);
  gatewise_call call = first.of_pass(false);
  const std::string name = text(problem, way) + " shared weights";
  std::vector<uint8_t> weights = hold_weights(call, false, name);
  finish(call, name);
  std::vector<std::thread> callers;
  for (int k = 0; k < 3; ++k)
    callers.emplace_back([&] {
      Run<double> one(problem, way);
      gatewise_call own = one.of_pass(false);
      own.weights = {weights.data(), int64_t(weights.size())};
      own.weights_layout = call.weights_layout, own.weights_filled = 1;
      finish(own, name);
      compare_all(name, one.result(false), wanted, 0);
    });
  for (std::thread &caller : callers) caller.join();
}

const std::vector<Shape> differentiated = {{1, 1, 1, 1},
                                           {4, 3, 2, 5, 2},
                                           {5, 4, 3, 3, 1, true, some, true},
                                           {2, 2, 5, 17},
                                           {3, 9, 4, 6, 2, false, some, true}};
const std::vector<Shape> shapes = {{1, 1, 1, 1, 2},
                                   {2, 2, 20, 33, 1},
                                   {3, 2, 3, 5, 2, false, no, true},
                                   {5, 9, 7, 33, 1, true, some},
                                   {4, 17, 131, 17, 2, false, some, true},
                                   {6, 11, 16, 40, 1, true, no, true},
                                   {1, 4, 9, 8, 1, false, some},
                                   {2, 1, 2, 70, 1, false},
                                   {3, 3, 4, 2, 2, false, nothing, true},
                                   {5, 21, 5, 3, 1, true}};

void check_cell(const gatewise::Program &cell, size_t number, size_t shape, bool threads) {
  const Problem problem(cell, shapes[shape], unsigned(shape));
  const Way watched{.norms = true, .shown = true};
  const Result plain = run<double>(problem, watched);
  if (!threads) {
    const Result wanted = unrolled(problem);
    compare_all(text(problem), plain, wanted, 1e-12);
  }
  // Neighbours meet other ways; a cell meets all of them with some shapes.
  for (size_t at = 0; at < ways.size(); ++at)
    if (threads ? (number + shape + at) % 6 == 0 && ways[at].workers > 1 : (number + shape + at) % 3 == 0)
      check_way(problem, plain, ways[at], 5 * at % 64);
}

// Calls that are worth sharing out as they are: by rows, by units, by single rows.
void check_large(const gatewise::Program &cell) {
  for (const Shape &shape : {Shape{8, 24, 5, 48}, Shape{2, 9, 4, 370}, Shape{40, 3, 6, 64, 2, false, some}}) {
    const Problem problem(cell, shape, 6);
    const Result plain = run<double>(problem);
    for (int64_t threads : {2, 3, 4})
      check_way(problem, plain, {.threads = threads, .workers = threads, .small = false, .held = threads == 3}, 8);
  }
}

} // namespace

int main(int count, char **arguments) {
  const std::string_view mode = count > 1 ? arguments[1] : "";
  const bool threads = mode == "threads";
  // Neighbours meet other shapes.
  const auto chosen = [&](size_t number, size_t shape) { return mode != "half" || (number + shape) % 2 == 0; };
  for (int64_t k = 0; k < cell_count; ++k) {
    const gatewise::Program &cell = *cells[k];
    check_shared_weights({cell, {3, 5, 2, 9, 2}, 5});
    if (threads) continue;
    for (size_t shape = 0; shape < differentiated.size(); ++shape)
      if (chosen(k, shape)) check_gradients({cell, differentiated[shape], 11});
    check_nulls({cell, {3, 4, 2, 5, 2, false, some}, 3});
    check_stack(cell, {4, 5, 3, 9, 1, false, some, true}, 2);
    check_stack(cell, {3, 2, 4, 5, 2, false, no, true}, 3);
    const Problem rejected(cell, {5, 4, 3, 6, 2, false, some, true}, 4);
    Rejections<float>(rejected, false), Rejections<double>(rejected, true);
    if (cell.name == std::string_view("lstm")) check_large(cell);
  }
  // Several callers at once, each with a team of its own.
  std::atomic<size_t> next{0};
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 3; ++caller)
    callers.emplace_back([&] {
      for (size_t task; (task = next++) < size_t(cell_count) * shapes.size();) {
        const size_t number = task / shapes.size(), shape = task % shapes.size();
        if (chosen(number, shape)) check_cell(*cells[number], number, shape, threads);
      }
    });
  for (std::thread &caller : callers) caller.join();
  return report();
}
