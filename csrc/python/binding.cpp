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

// forward(*machine, cell, D, reverse, L, segment_steps, x, initial, weights, lengths, reset, packed,
//         save, fixed_shapes, state_values, finals) -> (output, finals, saved) | code
PyObject *forward(PyObject *, PyObject *const *first, intptr_t count) {
  return guarded([&] {
    Arguments arguments(first, count);
    const Machine machine(arguments);
    Call call(machine, arguments);
    const bool save = arguments.integer(), fixed_shapes = arguments.integer();
    PyObject *state_values = arguments.object(), *into = arguments.object();
    gatewise_call &c = call.call;

    Object output = call.allocate_output(), saved = Object::borrowed(host.none);
    Object finals(PyTuple_New(int64_t(call.states.size())));
    c.output = call.own_sequence(output.get());
    for (size_t s = 0; s < call.states.size(); ++s) {
      Object final = is_none(into) ? call.allocate_state() : Object::borrowed(item(into, int64_t(s)));
      call.states[s].final = call.own(final.get());
      PyTuple_SetItem(finals.get(), int64_t(s), final.release());
    }
    const bool boundaries = save && c.checkpoint;
    if (boundaries) {
      saved = call.allocate({c.directions, call.segments(), int64_t(call.states.size()), c.rows, c.hidden_size});
      c.boundaries = call.own(saved.get());
    } else if (save) {
      const int64_t rows = call.saved_rows(fixed_shapes);
      if (rows < 0) return number(GATEWISE_BAD_LENGTH);
      saved = call.allocate({c.directions, rows, call.saved_blocks * c.hidden_size});
      c.saved = call.own(saved.get());
    }
    if (!boundaries) c.checkpoint = 0;
    if (!call.is_empty()) {
      const int64_t given = size(call.initial);
      for (int64_t s = 0; s < given; ++s) call.states[size_t(s)].initial = call.dense(item(call.initial, s));
      call.parameters.resize(size_t(size(call.weights)));
      for (size_t k = 0; k < call.parameters.size(); ++k) {
        PyObject *weight = item(call.weights, int64_t(k));
        call.parameters[k].value = call.weight(weight);
      }
      c.state_values = call.own_or_null(state_values);
      if (const int64_t code = call.run(false)) return call.refusal(code);
    }
    return tuple(std::move(output), std::move(finals), std::move(saved));
  });
}

// backward(*machine, cell, D, reverse, L, segment_steps, x, initial, weights, lengths, reset, packed,
//          output, saved, upstream, needed, norms, state_gradients) -> gradients | code
PyObject *backward(PyObject *, PyObject *const *first, intptr_t count) {
  return guarded([&] {
    Arguments arguments(first, count);
    const Machine machine(arguments);
    Call call(machine, arguments);
    PyObject *output = arguments.object(), *saved = arguments.object(), *upstream = arguments.object();
    PyObject *needed = arguments.object(), *norms = arguments.object(), *state_gradients = arguments.object();
    gatewise_call &c = call.call;

    const int64_t given = size(call.initial), weights = size(call.weights);
    Object gradients(PyTuple_New(1 + given + weights));
    const auto hand_over = [&](int64_t at, Object gradient) {
      PyTuple_SetItem(gradients.get(), at, gradient.release());
    };
    const auto wanted = [&](int64_t at) { return number(item(needed, at)) != 0; };
    if (wanted(0)) {
      Object gradient = call.allocate({c.steps, c.rows, c.input_size});
      c.x_gradient = call.own_sequence(gradient.get());
      hand_over(0, std::move(gradient));
    } else hand_over(0, Object::borrowed(host.none));
    for (int64_t s = 0; s < int64_t(call.states.size()); ++s) {
      gatewise_state &state = call.states[size_t(s)];
      if (PyObject *of_final = item(upstream, 1 + s); !is_none(of_final)) state.final_gradient = call.dense(of_final);
      if (s >= given) continue;
      state.initial = call.dense(item(call.initial, s));
      Object gradient = wanted(1 + s) ? call.allocate_state() : Object::borrowed(host.none);
      state.initial_gradient = call.own_or_null(gradient.get());
      hand_over(1 + s, std::move(gradient));
    }
    call.parameters.resize(size_t(weights));
    for (int64_t k = 0; k < weights; ++k) {
      gatewise_parameter &parameter = call.parameters[size_t(k)];
      PyObject *weight = item(call.weights, k);
      parameter.value = call.weight(weight);
      Object gradient = wanted(1 + given + k) ? call.gradient_like(weight) : Object::borrowed(host.none);
      parameter.gradient = call.own_or_null(gradient.get());
      hand_over(1 + given + k, std::move(gradient));
    }
    if (PyObject *of_output = item(upstream, 0); !is_none(of_output)) { c.output_gradient = call.sequence(of_output); }
    if (c.checkpoint) c.boundaries = call.own(saved);
    else {
      c.output = call.own_sequence(output);
      c.saved = call.own(saved);
    }
    c.norms = call.own_or_null(norms);
    c.state_gradients = call.own_or_null(state_gradients);
    if (const int64_t code = call.run(true)) return call.refusal(code);
    return gradients;
  });
}

// Whether a tensor is of torch's own types, on the CPU, and of this dtype and shape.
bool fits(PyObject *tensor, uint8_t code, int64_t bytes, std::initializer_list<int64_t> shape) {
  View view;
  return is_plain_type(tensor) && look(tensor, view) && view.on_cpu() && view.is(code, bytes) && view.has_shape(shape);
}
bool fits(PyObject *tensor, int64_t bytes, PyObject *shape) {
  View view;
  if (!is_plain_type(tensor) || !look(tensor, view) || !view.on_cpu() || !view.is(kDLFloat, bytes)) return false;
  if (size(shape) != view.ndim) return false;
  for (int32_t k = 0; k < view.ndim; ++k)
    if (view.shape[k] != number(item(shape, k))) return false;
  return true;
}

// accepts(x, initial, lengths, reset, weights, shapes, I, H, L * D): whether these need no validation: x (T, B, I), or
// (B, I) or (I,) of a step, and all else of the shape that follows.
PyObject *accepts(PyObject *, PyObject *const *first, intptr_t count) {
  return guarded([&] {
    Arguments arguments(first, count);
    PyObject *input = arguments.object(), *initial = arguments.object(), *lengths = arguments.object();
    PyObject *reset = arguments.object(), *weights = arguments.object(), *shapes = arguments.object();
    const int64_t width = arguments.integer(), hidden = arguments.integer(), all = arguments.integer();
    View x;
    bool ok = is_plain_type(input) && look(input, x) && x.on_cpu() && x.ndim >= 1 && x.ndim <= 3 &&
              (x.is(kDLFloat, 4) || x.is(kDLFloat, 8)) && x.shape[x.ndim - 1] == width &&
              (x.ndim < 3 || x.shape[0] > 0);
    if (ok) {
      const int64_t bytes = x.dtype.bits / 8, rows = x.ndim > 1 ? x.shape[x.ndim - 2] : 1;
      for (int64_t s = 0, given = size(initial); ok && s < given; ++s)
        ok = x.ndim > 1 ? fits(item(initial, s), kDLFloat, bytes, {all, rows, hidden})
                        : fits(item(initial, s), kDLFloat, bytes, {all, hidden});
      if (ok && !is_none(lengths)) ok = fits(lengths, kDLInt, 8, {rows});
      if (ok && !is_none(reset))
        ok = x.ndim == 3   ? fits(reset, kDLBool, 1, {x.shape[0], rows})
             : x.ndim == 2 ? fits(reset, kDLBool, 1, {rows})
                           : fits(reset, kDLBool, 1, {});
      for (int64_t k = 0, given = size(weights); ok && k < given; ++k)
        ok = fits(item(weights, k), bytes, item(shapes, k));
    }
    return Object(PyBool_FromLong(ok));
  });
}

PyMethodDef functions[] = {
    {"forward", forward, METH_FASTCALL, nullptr},
    {"backward", backward, METH_FASTCALL, nullptr},
    {"accepts", accepts, METH_FASTCALL, nullptr},
};

} // namespace
} // namespace gatewise::python

using namespace gatewise::python;

// The functions above as Python's, given torch's DLPack exchange and the objects of `Host`, in its order.
extern "C" [[gnu::visibility("default")]] PyObject *gatewise_bind(const DLPackExchangeAPI *exchange,
                                                                  PyObject *objects) {
  return guarded([&] {
    int64_t at = 0;
    for (PyObject **to : {&host.none, &host.tensor, &host.parameter, &host.is_neg, &host.empty_like, &host.dense,
                          &host.memory, &host.workspace, &host.float32, &host.float64}) {
      *to = item(objects, at++);
      Py_IncRef(*to);
    }
    for (const auto &[to, name] : {std::pair{&host.empty, "empty"},
                                   {&host.smallest, "SMALLEST"},
                                   {&host.take, "take"},
                                   {&host.larger, "larger"},
                                   {&host.give_back, "give_back"},
                                   {&host.find, "find"},
                                   {&host.get, "get"},
                                   {&host.keep, "keep"}})
      *to = Object(PyUnicode_InternFromString(name)).release();
    while (exchange && exchange->major != 1) exchange = exchange->previous;
    if (!exchange || !exchange->view_of_object) throw Unreadable();
    host.exchange = exchange;
    return tuple(Object(PyCFunction_NewEx(&functions[0], nullptr, nullptr)),
                 Object(PyCFunction_NewEx(&functions[1], nullptr, nullptr)),
                 Object(PyCFunction_NewEx(&functions[2], nullptr, nullptr)));
  });
}
