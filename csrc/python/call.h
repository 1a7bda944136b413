// A call of the engine made of Python's arguments: the struct, the tensors whose memory it points to, and the run.
#pragma once
#include "fields.h"
#include "python/objects.h"
#include "python/participants.h"
#include "python/workspaces.h"

#include <iterator>
#include <new>
#include <vector>

namespace gatewise::python {

// Thrown for a tensor without memory that can be read, which Python names.
struct Unreadable {};

// Arguments one after the other: those of a function, or the items of a tuple.
class Arguments {
public:
  Arguments(PyObject *const *first, intptr_t count) : first(first), count(count) {}
  explicit Arguments(PyObject *tuple) : tuple(tuple), count(size(tuple)) {}
  PyObject *object() {
    if (at == count) throw Unreadable();
    const int64_t next = at++;
    return tuple ? item(tuple, next) : first[next];
  }
  int64_t integer() { return number(object()); }

private:
  PyObject *const *first = nullptr;
  PyObject *tuple = nullptr;
  int64_t count, at = 0;
};

// How the engine is to be run.
struct Machine {
  explicit Machine(Arguments &arguments)
      : abi(arguments.integer()), function(reinterpret_cast<int64_t (*)(gatewise_call *)>(arguments.integer())),
        slices(arguments.integer()), workers(arguments.integer()), pool(arguments.integer()),
        chunk(arguments.integer()), share_small(arguments.integer()), seconds(arguments.integer()) {}
  int64_t abi;
  int64_t (*function)(gatewise_call *);
  int64_t slices, workers, pool, chunk, share_small, seconds;
};

// One call of the engine, and the tensors that it holds while it runs.
class Call {
public:
  Call(const Machine &machine, Arguments &arguments) : machine(machine) {
    PyObject *cell = arguments.object();
    call.struct_size = sizeof call;
    call.abi = machine.abi;
    call.program = reinterpret_cast<const void *>(number(item(cell, 0)));
    saved_blocks = number(item(cell, 1));
    states.resize(number(item(cell, 2)));
    const int64_t gates = number(item(cell, 3));
    saved_row_values = number(item(cell, 4));
    PyObject *const projection = item(cell, 5);
    call.directions = arguments.integer();
    call.reverse = arguments.integer();
    call.layers = arguments.integer();
    call.checkpoint = arguments.integer();
    call.mask_seed = arguments.integer();
    call.mask_stream = arguments.integer();
    call.mask_step = arguments.integer();
    call.masks = reinterpret_cast<const gatewise_mask *>(arguments.integer());
    call.precision = arguments.integer();
    call.threads = machine.slices;
    call.pool = reinterpret_cast<gatewise_pool>(machine.pool);
    call.chunk = machine.chunk;
    call.share_small = machine.share_small;
    call.seconds = reinterpret_cast<double *>(machine.seconds);

    input = arguments.object();
    const View x = view_of(input);
    if (!x.is(kDLFloat, 4) && !x.is(kDLFloat, 8)) throw Unreadable();
    call.dtype = x.dtype.bits / 8;
    call.x = sequence(input, x);
    batched = x.ndim > 1;
    stepwise = x.ndim < 3;
    call.steps = stepwise ? 1 : x.shape[0];
    call.rows = batched ? x.shape[x.ndim - 2] : 1;
    call.input_size = x.shape[x.ndim - 1];
    initial = arguments.object();
    weights = arguments.object();
    lengths = arguments.object();
    reset = arguments.object();
    packed = arguments.object();
    if (size(initial) > int64_t(states.size())) throw Unreadable();
    PyObject *wide = size(initial) ? item(initial, 0) : item(weights, 0);
    const View sized = view_of(wide);
    if (sized.ndim == 0) throw Unreadable();
    call.hidden_size = size(initial) ? sized.shape[sized.ndim - 1] : sized.shape[0] / gates;
    if (!is_none(projection)) take_sizes(projection);
    if (const int64_t group = number(item(cell, 6)); group >= 0) take_heads(item(weights, group));
    smallest = number(Object(PyObject_GetAttr(host.buffer_pool, host.smallest)).get());
    if (!is_none(lengths)) call.lengths = dense(lengths, kDLInt, 8);
    if (!is_none(reset)) flags();
  }

  bool is_empty() const { return call.rows == 0; }
  int64_t segments() const { return (call.steps + call.checkpoint - 1) / call.checkpoint; }
  // Rows that are saved of every direction: the valid steps alone, unless shapes are not to depend on values.
  int64_t saved_rows(bool fixed_shapes) const {
    if (!call.lengths.data || fixed_shapes) return call.steps * call.rows;
    int64_t sum = 0;
    for (int64_t b = 0; b < call.rows; ++b) {
      const int64_t length = static_cast<const int64_t *>(call.lengths.data)[b];
      if (length < 0 || length > call.steps) return -1;
      sum += length;
    }
    return sum;
  }

  // An uninitialised tensor; large ones come out of Python's pool.
  // `like`: a dense tensor of this shape, or null; empty_like is faster than new_empty.
  Object allocate(std::initializer_list<int64_t> shape, PyObject *like = nullptr) {
    int64_t extents[5], bytes = call.dtype;
    int32_t count = 0;
    bool large = false;
    for (int64_t extent : shape) {
      large |= __builtin_mul_overflow(bytes, extent, &bytes);
      extents[count++] = extent;
    }
    large |= bytes >= smallest;
    if (like && !large) return allocate_like(like);
    Object sizes[5];
    PyObject *arguments[6] = {input};
    for (int32_t k = 0; k < count; ++k) arguments[1 + k] = (sizes[k] = number(extents[k])).get();
    // One by one: torch reads a tuple as a number first, at the price of an exception.
    if (!large) return Object(PyObject_Vectorcall(host.new_empty, arguments, size_t(1 + count), nullptr));
    const Object all = tuple({std::make_move_iterator(sizes), std::make_move_iterator(sizes + count)});
    PyObject *dtype = call.dtype == 4 ? host.float32 : host.float64;
    return Object(PyObject_CallMethodObjArgs(host.buffer_pool, host.empty, all.get(), dtype, nullptr));
  }
  // Of a state, the output by default.
  Object allocate_sequence(int64_t state = 0) {
    const int64_t width = call.directions * state_width(state);
    return !batched   ? allocate({width})
           : stepwise ? allocate({call.rows, width})
                      : allocate({call.steps, call.rows, width});
  }
  Object allocate_input_gradient() {
    PyObject *const like = view_of(input).is_contiguous() ? input : nullptr;
    return allocate({call.steps, call.rows, call.input_size}, like);
  }
  // Of the shape of a dense tensor.
  Object allocate_like(PyObject *tensor) { return Object(PyObject_Vectorcall(host.empty_like, &tensor, 1, nullptr)); }
  // `like`: a dense tensor of its shape, or null.
  Object allocate_state(PyObject *like, int64_t state) {
    const int64_t all = call.layers * call.directions, width = state_width(state);
    return batched ? allocate({all, call.rows, width}, like) : allocate({all, width}, like);
  }
  int64_t state_width(int64_t state) const { return narrow >> state & 1 ? call.projection_size : call.hidden_size; }
  bool has_width_of_first(int64_t state) const { return state_width(state) == state_width(0); }
  // Elements of a row of `boundaries`, and of `saved`.
  int64_t width_of_states() const {
    int64_t width = 0;
    for (int64_t s = 0; s < int64_t(states.size()); ++s) width += state_width(s);
    return width;
  }
  int64_t saved_width() const {
    return saved_blocks * call.hidden_size + saved_projections * call.projection_size + saved_row_values;
  }

  // A dense tensor allocated for this call, owned by the caller of this function.
  gatewise_dense own(PyObject *tensor) { return own(tensor, call.dtype); }
  gatewise_dense own(PyObject *tensor, int64_t bytes) {
    const View view = own_view(tensor, bytes);
    return {view.address(), view.count()};
  }
  gatewise_dense own_or_null(PyObject *tensor) { return is_none(tensor) ? gatewise_dense{} : own(tensor); }
  gatewise_sequence own_sequence(PyObject *tensor) { return sequence_of(own_view(tensor, call.dtype)); }

  // A tensor of the caller's; where its elements are not dense, `tensor` becomes a copy that is.
  gatewise_dense dense(PyObject *&tensor) { return dense(tensor, kDLFloat, call.dtype); }
  gatewise_dense dense(PyObject *&tensor, uint8_t code, int64_t bytes) {
    View view = view_of(tensor);
    if (!view.is_contiguous() || !view.is_allocated() || is_negative(tensor))
      view = view_of(tensor = made(host.dense, tensor));
    check(view, code, bytes);
    return {view.address(), view.count()};
  }
  gatewise_dense dense(PyObject *&&tensor) { return dense(tensor); }
  // Packed weights come with dense copies.
  gatewise_dense weight(PyObject *&tensor) { return is_none(packed) ? dense(tensor) : own(tensor); }
  gatewise_sequence sequence(PyObject *tensor) { return sequence(tensor, view_of(tensor)); }
  gatewise_sequence sequence(PyObject *tensor, View view) {
    if (view.ndim == 0) throw Unreadable();
    if (!view.is_dense_sequence() || !view.is_allocated() || is_negative(tensor))
      view = view_of(made(host.dense, tensor));
    check(view, kDLFloat, call.dtype);
    return sequence_of(view);
  }

  // Runs to the end; a code of the engine.
  int64_t run(bool backward) {
    call.states = states.data();
    call.parameters = parameters.data();
    Workspace workspace;
    call.workspace = workspace.bytes();
    Object fresh; // weights that this call packs
    if (!is_none(packed)) {
      const Object found(
          PyObject_CallMethodObjArgs(packed, host.find, number(call.dtype).get(), number(backward).get(), nullptr));
      if (!is_none(found.get())) use(item(found.get(), 1), number(item(found.get(), 0)), true);
      else use_none();
    }
    for (;;) {
      PyThreadState *thread = PyEval_SaveThread();
      const Participants::Turn turn = participants.next(machine.workers);
      gatewise_team took{};
      call.workers = turn.workers, call.team = turn.measured ? &took : nullptr;
      const int64_t code = machine.function(&call);
      participants.report(turn, took);
      PyEval_RestoreThread(thread);
      if (PyErr_CheckSignals()) throw Raised();
      if (code == GATEWISE_NEEDS_WORKSPACE) {
        workspace.grow(call.needed);
        call.workspace = workspace.bytes();
      } else if (code == GATEWISE_NEEDS_WEIGHTS && !is_none(packed)) {
        const int64_t layout = call.weights_layout;
        Object found(PyObject_CallMethodObjArgs(packed, host.get, number(call.dtype).get(), number(backward).get(),
                                                number(layout).get(), nullptr));
        const bool filled = !is_none(found.get());
        if (!filled) found = larger(call.needed);
        use(found.get(), layout, filled);
        if (!filled) fresh = std::move(found);
        else held.push_back(std::move(found));
      } else if (code != GATEWISE_MORE) {
        if (code == GATEWISE_OK && fresh)
          Object(PyObject_CallMethodObjArgs(packed, host.keep, number(call.dtype).get(), number(backward).get(),
                                            number(call.weights_layout).get(), fresh.get(), nullptr));
        return code;
      }
    }
  }
  // The result of a function if the engine rejects the call: its code and the field.
  Object refusal(int64_t code) { return number(code + 256 * (code == GATEWISE_BAD_BUFFER ? call.needed : 0)); }

  gatewise_call call{};
  int64_t saved_blocks, saved_row_values, smallest;
  int64_t saved_projections = 0, narrow = 0; // bit s: whether state s has the width of a projection
  bool batched, stepwise;
  PyObject *input, *initial, *weights, *lengths, *reset, *packed;
  std::vector<gatewise_state> states;
  std::vector<gatewise_parameter> parameters;

private:
  static View view_of(PyObject *tensor) {
    View view;
    const int is_tensor = is_plain_type(tensor) ? 1 : PyObject_IsInstance(tensor, host.tensor);
    if (is_tensor < 0) throw Raised();
    if (!is_tensor) throw Unreadable();
    if (!look(tensor, view)) throw Unreadable();
    return view;
  }
  static View own_view(PyObject *tensor, int64_t bytes) {
    const View view = view_of(tensor);
    check(view, kDLFloat, bytes);
    if (!view.is_contiguous()) throw Unreadable();
    return view;
  }
  static void check(const View &view, uint8_t code, int64_t bytes) {
    if (!view.is_allocated() || !view.is(code, bytes)) throw Unreadable();
  }
  bool is_negative(PyObject *tensor) {
    const Object answer(PyObject_Vectorcall(host.is_neg, &tensor, 1, nullptr));
    return number(answer.get());
  }
  PyObject *made(PyObject *function, PyObject *tensor) {
    held.emplace_back(PyObject_Vectorcall(function, &tensor, 1, nullptr));
    return held.back().get();
  }
  static gatewise_sequence sequence_of(const View &view) {
    const int32_t n = view.ndim;
    const int64_t steps = n > 2 ? view.shape[n - 3] : 1, rows = n > 1 ? view.shape[n - 2] : 1;
    const int64_t step = n > 2 ? view.strides[n - 3] : 0, row = n > 1 ? view.strides[n - 2] : 0;
    return {view.address(), (steps - 1) * step + (rows - 1) * row + view.shape[n - 1], step, row};
  }
  // (T, B), of a step (B,) or ().
  void flags() {
    const View view = view_of(reset);
    check(view, kDLBool, 1);
    const int32_t n = view.ndim;
    const int64_t step = n > 1 ? view.strides[n - 2] : 0, row = n > 0 ? view.strides[n - 1] : 0;
    call.reset = {view.address(), (call.steps - 1) * step + (call.rows - 1) * row + 1, step, row};
  }
  void use(PyObject *memory, int64_t layout, bool filled) {
    call.weights = bytes_of(memory);
    if (!call.weights.data) call.weights.data = &call; // a layout of no bytes
    call.weights_layout = layout;
    call.weights_filled = filled;
  }
  // Weights of a nonexistent layout, so that the engine returns the one it requires.
  void use_none() {
    call.weights = {&call, 0};
    call.weights_layout = -1;
  }

  // H and P, of parameters that have them; see `Loaded.projection`.
  void take_sizes(PyObject *projection) {
    saved_projections = number(item(projection, 0)), narrow = number(item(projection, 1));
    const auto extent = [&](int64_t at) {
      const View view = view_of(item(weights, number(item(projection, at))));
      const int64_t axis = number(item(projection, at + 1));
      if (view.ndim <= axis) throw Unreadable();
      return view.shape[axis] / number(item(projection, at + 2));
    };
    call.hidden_size = extent(2), call.projection_size = extent(5);
  }

  // n, of a parameter whose matrices are divided into heads, (G·H, H/n).
  void take_heads(PyObject *weight) {
    const View view = view_of(weight);
    if (view.ndim != 2 || view.shape[1] < 1) throw Unreadable();
    call.heads = call.hidden_size / view.shape[1];
  }

  const Machine &machine;
  std::vector<Object> held;
};

} // namespace gatewise::python
