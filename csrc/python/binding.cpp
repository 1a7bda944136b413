// The engine as Python calls it: tensors in, tensors out. Each call looks at its tensors, allocates its results, fills
// in the struct of a call, and runs it without the interpreter's lock. No address of a tensor survives a call.
#include "python/call.h"

namespace gatewise::python {
namespace {

// Runs a function's body, and returns what it made: None where a tensor has no memory to be read.
template <class Body> PyObject *guarded(const Body &body) {
  try {
    return body().release();
  } catch (const Raised &) { return nullptr; } catch (const Unreadable &) {
    Py_IncRef(host.none);
    return host.none;
  } catch (const std::bad_alloc &) { return PyErr_NoMemory(); }
}

// forward(common, save, fixed_shapes, sequences, state_values, finals) -> (output, finals, saved) | code
// common: (*machine, cell, D, reverse, L, segment_steps, mask_seed, mask_stream, mask_step, masks, precision, x,
// initial, weights, lengths, reset, packed), in the order of `Machine` and `Call`. With sequences, those of the states
// but the first follow the final states.
PyObject *forward(PyObject *, PyObject *const *first, intptr_t count) {
  return guarded([&] {
    Arguments arguments(first, count), common(arguments.object());
    const Machine machine(common);
    Call call(machine, common);
    const bool save = arguments.integer(), fixed_shapes = arguments.integer(), sequences = arguments.integer();
    PyObject *state_values = arguments.object(), *into = arguments.object();
    gatewise_call &c = call.call;

    Object output = call.allocate_sequence(), saved = Object::borrowed(host.none);
    c.output = call.own_sequence(output.get());
    const int64_t given = size(call.initial);
    std::vector<Object> finals;
    for (int64_t s = 0; s < int64_t(call.states.size()); ++s) {
      gatewise_state &state = call.states[size_t(s)];
      PyObject *initial = s < given ? item(call.initial, s) : nullptr;
      if (initial) state.initial = call.dense(initial);
      PyObject *like = initial ? initial : s && call.has_width_of_first(s) ? finals[0].get() : nullptr;
      finals.push_back(is_none(into) ? call.allocate_state(like, s) : Object::borrowed(item(into, s)));
      state.final = call.own(finals.back().get());
    }
    for (size_t s = 1; s < call.states.size() && sequences; ++s) {
      finals.push_back(call.allocate_sequence(int64_t(s)));
      call.states[s].sequence = call.own_sequence(finals.back().get());
    }
    const bool boundaries = save && c.checkpoint;
    if (boundaries) {
      saved = call.allocate({c.directions, call.segments(), c.rows * call.width_of_states()});
      c.boundaries = call.own(saved.get());
    } else if (save) {
      const int64_t rows = call.saved_rows(fixed_shapes);
      if (rows < 0) return number(GATEWISE_BAD_LENGTH);
      saved = call.allocate({c.directions, rows, call.saved_width()});
      c.saved = call.own(saved.get());
    }
    if (!boundaries) c.checkpoint = 0;
    if (!call.is_empty()) {
      call.parameters.resize(size_t(size(call.weights)));
      for (size_t k = 0; k < call.parameters.size(); ++k) {
        PyObject *weight = item(call.weights, int64_t(k));
        call.parameters[k].value = call.weight(weight);
      }
      c.state_values = call.own_or_null(state_values);
      if (const int64_t code = call.run(false)) return call.refusal(code);
    }
    std::vector<Object> results;
    results.push_back(std::move(output));
    results.push_back(tuple(std::move(finals)));
    results.push_back(std::move(saved));
    return tuple(std::move(results));
  });
}

// backward(common, output, saved, upstream, needed, norms, state_gradients) -> gradients | code
// Upstream: gradients of output and final states, and of the sequences of the states but the first if there are any.
PyObject *backward(PyObject *, PyObject *const *first, intptr_t count) {
  return guarded([&] {
    Arguments arguments(first, count), common(arguments.object());
    const Machine machine(common);
    Call call(machine, common);
    PyObject *output = arguments.object(), *saved = arguments.object(), *upstream = arguments.object();
    PyObject *needed = arguments.object(), *norms = arguments.object(), *state_gradients = arguments.object();
    gatewise_call &c = call.call;

    const int64_t given = size(call.initial), weights = size(call.weights);
    std::vector<Object> gradients;
    const auto wanted = [&](int64_t at) { return number(item(needed, at)) != 0; };
    const auto hand_over = [&](bool is_wanted, auto allocate) {
      gradients.push_back(is_wanted ? allocate() : Object::borrowed(host.none));
      return gradients.back().get();
    };
    PyObject *of_x = hand_over(wanted(0), [&] { return call.allocate_input_gradient(); });
    if (!is_none(of_x)) c.x_gradient = call.own_sequence(of_x);
    for (int64_t s = 0; s < int64_t(call.states.size()); ++s) {
      gatewise_state &state = call.states[size_t(s)];
      if (PyObject *of_final = item(upstream, 1 + s); !is_none(of_final)) state.final_gradient = call.dense(of_final);
      if (const int64_t at = int64_t(call.states.size()) + s; s > 0 && at < size(upstream))
        if (PyObject *of_sequence = item(upstream, at); !is_none(of_sequence))
          state.sequence_gradient = call.sequence(of_sequence);
      if (s >= given) continue;
      PyObject *initial = item(call.initial, s);
      state.initial = call.dense(initial);
      state.initial_gradient =
          call.own_or_null(hand_over(wanted(1 + s), [&] { return call.allocate_state(initial, s); }));
    }
    call.parameters.resize(size_t(weights));
    for (int64_t k = 0; k < weights; ++k) {
      gatewise_parameter &parameter = call.parameters[size_t(k)];
      PyObject *weight = item(call.weights, k);
      parameter.value = call.weight(weight);
      parameter.gradient =
          call.own_or_null(hand_over(wanted(1 + given + k), [&] { return call.allocate_like(weight); }));
    }
    if (PyObject *of_output = item(upstream, 0); !is_none(of_output)) c.output_gradient = call.sequence(of_output);
    // Hooks on saved tensors may have changed their layout.
    if (c.checkpoint) c.boundaries = call.dense(saved);
    else {
      c.output = call.sequence(output);
      c.saved = call.dense(saved);
    }
    if (!is_none(norms)) c.norms = call.own(norms, 8);
    c.state_gradients = call.own_or_null(state_gradients);
    if (const int64_t code = call.run(true)) return call.refusal(code);
    return tuple(std::move(gradients));
  });
}

// Whether a tensor is of torch's own types, on the CPU, and of this dtype.
bool is_plain(PyObject *tensor, View &view, uint8_t code, int64_t bytes) {
  return is_plain_type(tensor) && look(tensor, view) && view.is(code, bytes);
}
bool fits(PyObject *tensor, uint8_t code, int64_t bytes, std::initializer_list<int64_t> shape) {
  View view;
  return is_plain(tensor, view, code, bytes) && view.has_shape(shape);
}
bool fits(PyObject *tensor, int64_t bytes, PyObject *shape) {
  View view;
  if (!is_plain(tensor, view, kDLFloat, bytes) || size(shape) != view.ndim) return false;
  for (int32_t k = 0; k < view.ndim; ++k)
    if (view.shape[k] != number(item(shape, k))) return false;
  return true;
}

// accepts(x, initial, lengths, reset, {name: weight}, names, shapes, I, (H, ...), L * D) -> a tuple of the weights, if
// none of these needs validation, else None: x (T, B, I), or (B, I) or (I,) of a step, and all else of the shape that
// follows.
PyObject *accepts(PyObject *, PyObject *const *first, intptr_t count) {
  return guarded([&] {
    Arguments arguments(first, count);
    PyObject *input = arguments.object(), *initial = arguments.object(), *lengths = arguments.object();
    PyObject *reset = arguments.object(), *given = arguments.object(), *names = arguments.object();
    PyObject *const shapes = arguments.object();
    const int64_t width = arguments.integer();
    PyObject *const widths = arguments.object();
    const int64_t all = arguments.integer();
    View x;
    bool ok = is_plain_type(input) && look(input, x) && (x.is(kDLFloat, 4) || x.is(kDLFloat, 8)) && x.ndim >= 1 &&
              x.ndim <= 3 && x.shape[x.ndim - 1] == width && (x.ndim < 3 || x.shape[0] > 0);
    if (!ok) return Object::borrowed(host.none);
    const int64_t bytes = x.dtype.bits / 8, rows = x.ndim > 1 ? x.shape[x.ndim - 2] : 1;
    for (int64_t s = 0, states = size(initial); ok && s < states; ++s)
      ok = x.ndim > 1 ? fits(item(initial, s), kDLFloat, bytes, {all, rows, number(item(widths, s))})
                      : fits(item(initial, s), kDLFloat, bytes, {all, number(item(widths, s))});
    if (ok && !is_none(lengths)) ok = fits(lengths, kDLInt, 8, {rows});
    if (ok && !is_none(reset))
      ok = x.ndim == 3   ? fits(reset, kDLBool, 1, {x.shape[0], rows})
           : x.ndim == 2 ? fits(reset, kDLBool, 1, {rows})
                         : fits(reset, kDLBool, 1, {});
    std::vector<Object> weights;
    for (int64_t k = 0, groups = size(shapes); ok && k < groups; ++k) {
      PyObject *const weight = found(given, item(names, k));
      ok = weight && fits(weight, bytes, item(shapes, k));
      if (ok) weights.push_back(Object::borrowed(weight));
    }
    return ok ? tuple(std::move(weights)) : Object::borrowed(host.none);
  });
}

// contention() -> (threads that calls are limited to; the time that a team took by that of one thread)
PyObject *contention(PyObject *, PyObject *const *, intptr_t) {
  return guarded([&] {
    const auto [limit, loss] = participants.state();
    std::vector<Object> pair;
    pair.push_back(number(limit));
    pair.emplace_back(PyFloat_FromDouble(loss));
    return tuple(std::move(pair));
  });
}

// forget_contention(): calls run on as many threads as they may again
PyObject *forget_contention(PyObject *, PyObject *const *, intptr_t) {
  participants.forget();
  Py_IncRef(host.none);
  return host.none;
}

// keep_workspaces(count) -> how many free workspaces were kept at most so far, which are freed
PyObject *keep_workspaces(PyObject *, PyObject *const *first, intptr_t count) {
  return guarded([&] { return number(workspaces.keep(Arguments(first, count).integer())); });
}

PyMethodDef functions[] = {
    {"forward", forward, METH_FASTCALL, nullptr},
    {"backward", backward, METH_FASTCALL, nullptr},
    {"accepts", accepts, METH_FASTCALL, nullptr},
    {"contention", contention, METH_FASTCALL, nullptr},
    {"forget_contention", forget_contention, METH_FASTCALL, nullptr},
    {"keep_workspaces", keep_workspaces, METH_FASTCALL, nullptr},
};

} // namespace
} // namespace gatewise::python

using namespace gatewise::python;

// The functions above as Python's, given torch's DLPack exchange and the objects of `Host`, in its order.
extern "C" [[gnu::visibility("default")]] PyObject *gatewise_bind(const DLPackExchangeAPI *exchange,
                                                                  PyObject *objects) {
  return guarded([&] {
    int64_t at = 0;
    for (PyObject **to : {&host.none, &host.tensor, &host.parameter, &host.is_neg, &host.empty_like, &host.new_empty,
                          &host.dense, &host.buffer_pool, &host.workspace, &host.float32, &host.float64}) {
      *to = item(objects, at++);
      Py_IncRef(*to);
    }
    for (const auto &[to, name] : {std::pair{&host.empty, "empty"},
                                   {&host.smallest, "SMALLEST"},
                                   {&host.larger, "larger"},
                                   {&host.find, "find"},
                                   {&host.get, "get"},
                                   {&host.keep, "keep"}})
      *to = Object(PyUnicode_InternFromString(name)).release();
    while (exchange && exchange->major != 1) exchange = exchange->previous;
    if (!exchange || !exchange->view_of_object) throw Unreadable();
    host.exchange = exchange;
    std::vector<Object> made;
    for (PyMethodDef &function : functions) made.emplace_back(PyCFunction_NewEx(&function, nullptr, nullptr));
    return tuple(std::move(made));
  });
}
