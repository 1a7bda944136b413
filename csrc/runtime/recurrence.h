// One recurrent layer of an instance: its state, its packed weights, and calls of the engine.
#pragma once

#include "runtime/description.h"
#include "runtime/threads.h"
#include "runtime/weights_file.h"
#include "workspace.h"

#include <cstdlib>

namespace gatewise {

// What an instance was created for, and how many rows single steps have besides.
struct Limits {
  int64_t batch, chunk, threads, paths = 0;
  int64_t most_rows() const { return std::max(batch, paths); }
};

template <class T> class Recurrence {
public:
  // Finds out what calls within the limits need, without memory or weights: `workspace` bytes of any call, and the
  // layouts of packed weights. False: there is no memory to find it out.
  bool plan(const RecurrentInfo &info, const Limits &limits) {
    describe(info);
    int64_t *const lengths = static_cast<int64_t *>(std::malloc(size_t(limits.most_rows()) * sizeof(int64_t)));
    if (!lengths) return false;
    bool ok = true;
    // What a call needs grows with rows and steps, but for the few thresholds of the engine, all among the small ones.
    for (const int64_t threads : {int64_t(1), limits.threads})
      for (int64_t rows = 1; ok; rows = std::min(rows < 8 ? rows + 1 : 2 * rows, limits.batch)) {
        for (int64_t steps = 1;; steps = std::min(steps < 4 ? steps + 1 : 2 * steps, limits.chunk)) {
          ok = ok && ask(steps, rows, threads, lengths);
          if (steps == limits.chunk) break;
        }
        if (rows == limits.batch) break;
      }
    for (const int64_t threads : {int64_t(1), limits.threads})
      ok = ok && (!limits.paths || ask(1, limits.paths, threads, lengths));
    std::free(lengths);
    return ok;
  }

  void carve(Carver &memory, const Limits &limits) {
    for (int64_t k = 0; k < layout_count; ++k) packed[k].data = memory.take<std::byte>(packed[k].bytes);
    for (T *&one : state) one = memory.take<T>(state_size(limits.most_rows()));
  }

  // After the last carving. `file`: of weights, checked.
  void begin(const Description &description, const void *file) {
    const auto buffer = [&](int64_t tensor) {
      const TensorInfo &shape = description.tensors[tensor];
      return gatewise_dense{const_cast<void *>(tensor_of(file, tensor)), shape.rows * shape.columns};
    };
    int64_t scales = info->first_scale;
    for (int64_t k = 0; k < info->directions * info->program->group_count; ++k) {
      const int64_t tensor = info->first_tensor + k;
      parameters[k].value = buffer(tensor);
      if (description.tensors[tensor].bytes == 1) parameters[k].scales = buffer(scales++);
    }
    for (int64_t k = 0; k < layout_count; ++k) packed[k].filled = false;
    forget();
  }

  int64_t workspace = 0;
  int64_t state_size(int64_t rows) const { return rows * size_of_states(*info, info->program->state_count); }

  void forget() { is_zero = true; }
  // The state of as many rows as the last call had: each (D, B, H), or P wide.
  void get(int64_t rows, T *to) const {
    if (is_zero) std::fill_n(to, state_size(rows), T(0));
    else std::copy_n(state[0], state_size(rows), to);
  }
  void set(int64_t rows, const T *from) {
    std::copy_n(from, state_size(rows), state[0]);
    is_zero = false, carried = false;
  }
  // The state of `count` rows that are all row `row` of another state of as many rows as `rows`.
  void repeat(int64_t rows, const T *from, int64_t row, int64_t count) {
    T *to = state[0];
    for (int64_t k = 0; k < info->program->state_count * info->directions; ++k) {
      const int64_t width = width_of_state(*info, k / info->directions);
      for (int64_t r = 0; r < count; ++r, to += width) std::copy_n(from + row * width, width, to);
      from += rows * width;
    }
    is_zero = false, carried = false;
  }
  // The first state of one direction, (B, H).
  const T *first_state(int64_t rows, int64_t direction) const {
    return state[0] + direction * rows * output_width(*info);
  }

  // The states before the first step in each direction. Those that a direction has left by reading from the end are of
  // no use for what follows.
  void prepare(int64_t rows) {
    if (!is_zero && carried) clear(rows, nullptr, true);
    carried = false;
  }
  // Zero the states of rows whose flag is set, of the directions that read from the end or the others.
  void clear(int64_t rows, const uint8_t *flags, bool from_end) {
    T *to = state[0];
    for (int64_t k = 0; !is_zero && k < info->program->state_count * info->directions; ++k) {
      const int64_t width = width_of_state(*info, k / info->directions);
      for (int64_t b = 0; b < rows; ++b, to += width)
        if (reads_from_end(k % info->directions) == from_end && (!flags || flags[b])) std::fill_n(to, width, T(0));
    }
  }
  bool reads_from_end(int64_t direction) const { return info->directions == 2 ? direction == 1 : info->reverse != 0; }

  // Runs some steps; a code of the engine.
  int64_t run(int64_t steps, int64_t rows, const gatewise_sequence &x, const gatewise_sequence &output,
              const int64_t *lengths, const uint8_t *reset, const gatewise_dense &work, Team team) {
    prepare(rows);
    call.steps = steps, call.rows = rows, call.x = x, call.output = output, call.workspace = work, call.position = 0;
    call.lengths = {const_cast<int64_t *>(lengths), lengths ? rows : 0};
    call.reset = {const_cast<uint8_t *>(reset), reset ? steps * rows : 0, rows, 1};
    call.threads = call.workers = team.threads, call.pool = team.pool;
    for (int64_t s = 0; s < info->program->state_count; ++s) {
      const int64_t before = rows * size_of_states(*info, s), count = rows * size_of_states(*info, s + 1) - before;
      states[s].initial = {is_zero ? nullptr : state[0] + before, is_zero ? 0 : count};
      states[s].final = {state[1] + before, count};
    }
    use(last);
    int64_t code;
    while ((code = gatewise_forward(&call)) == GATEWISE_NEEDS_WEIGHTS || code == GATEWISE_NEEDS_WORKSPACE) {
      int64_t k = 0;
      while (code == GATEWISE_NEEDS_WEIGHTS && k < layout_count && packed[k].layout != call.weights_layout) ++k;
      if (code == GATEWISE_NEEDS_WEIGHTS && k < layout_count && k != last) use(k);
      else if (call.threads > 1) call.threads = call.workers = 1, call.pool = nullptr; // the plan holds all of these
      else return code;
    }
    if (code != GATEWISE_OK) return code;
    packed[last].filled = true;
    std::swap(state[0], state[1]);
    is_zero = false, carried = true;
    return code;
  }

private:
  struct Packed {
    int64_t layout, bytes;
    void *data;
    bool filled;
  };
  static constexpr int64_t most_layouts = 12;

  const RecurrentInfo *info;
  gatewise_call call;
  gatewise_state states[most_states];
  gatewise_parameter parameters[most_parameters];
  Packed packed[most_layouts];
  int64_t layout_count = 0, last = 0;
  T *state[2] = {nullptr, nullptr};
  bool is_zero = true, carried = false;

  void describe(const RecurrentInfo &of) {
    info = &of;
    std::memset(&call, 0, sizeof call);
    std::memset(states, 0, sizeof states);
    std::memset(parameters, 0, sizeof parameters);
    call.struct_size = sizeof call, call.abi = GATEWISE_ABI, call.dtype = sizeof(T), call.layers = 1;
    call.input_size = of.input, call.hidden_size = of.hidden, call.projection_size = of.projection;
    call.heads = of.heads, call.directions = of.directions, call.reverse = of.reverse;
    call.precision = inference_precision, call.program = of.program, call.masks = of.masks, call.states = states,
    call.parameters = parameters;
  }

  void use(int64_t layout) {
    last = layout;
    call.weights = {packed[last].data, packed[last].bytes};
    call.weights_layout = packed[last].layout, call.weights_filled = packed[last].filled;
  }

  // What a call of this size needs. The engine looks at sizes and lengths, and touches no other buffer.
  bool ask(int64_t steps, int64_t rows, int64_t threads, int64_t *lengths) {
    std::fill_n(lengths, rows, steps);
    alignas(64) static constexpr char nothing[64] = {};
    void *const some = const_cast<char *>(nothing);
    constexpr int64_t enough = INT64_MAX / 4;
    call.steps = steps, call.rows = rows, call.threads = call.workers = threads;
    call.x = {some, enough, rows * info->input, info->input};
    call.output = {some, enough, rows * outputs_width(*info), outputs_width(*info)};
    call.lengths = {lengths, rows}, call.reset = {some, enough, rows, 1};
    for (gatewise_parameter &one : parameters) one.value = {some, enough};
    call.workspace = {}, call.weights = {some, 0}, call.weights_layout = -1;
    if (gatewise_forward(&call) != GATEWISE_NEEDS_WEIGHTS) return false;
    int64_t k = 0;
    while (k < layout_count && packed[k].layout != call.weights_layout) ++k;
    if (k == most_layouts) return true; // one thread will do
    const int64_t bytes = call.needed;
    if (k == layout_count) packed[layout_count++] = {call.weights_layout, bytes, nullptr, false};
    packed[k].bytes = std::max(packed[k].bytes, bytes);
    // Memory that is never touched, and so is none.
    void *const memory = std::malloc(size_t(bytes));
    if (!memory) return false;
    call.weights = {memory, bytes};
    const int64_t code = gatewise_forward(&call);
    std::free(memory);
    if (code == GATEWISE_NEEDS_WORKSPACE) workspace = std::max(workspace, call.needed);
    return code == GATEWISE_NEEDS_WORKSPACE;
  }
};

} // namespace gatewise
