// Python objects and torch's tensors, as the binding handles them.
#pragma once
#include "abi.h"

#include <initializer_list>
#include <utility>
#include <vector>

namespace gatewise::python {

// Thrown where an exception is set in the interpreter; caught where a function returns to it.
struct Raised {};

// Owns one reference.
class Object {
public:
  Object() = default;
  // Takes over a new reference; null is an exception.
  explicit Object(PyObject *made) : object(made) {
    if (!made) throw Raised();
  }
  Object(Object &&other) noexcept : object(std::exchange(other.object, nullptr)) {}
  Object &operator=(Object &&other) noexcept {
    std::swap(object, other.object);
    return *this;
  }
  ~Object() {
    if (object) Py_DecRef(object);
  }
  static Object borrowed(PyObject *object) {
    Py_IncRef(object);
    return Object(object);
  }
  PyObject *get() const { return object; }
  PyObject *release() { return std::exchange(object, nullptr); }
  explicit operator bool() const { return object; }

private:
  PyObject *object = nullptr;
};

inline int64_t number(PyObject *object) {
  const int64_t value = PyLong_AsLongLong(object);
  if (value == -1 && PyErr_Occurred()) throw Raised();
  return value;
}
inline Object number(int64_t value) { return Object(PyLong_FromLongLong(value)); }

inline int64_t size(PyObject *tuple) {
  const int64_t count = PyTuple_Size(tuple);
  if (count < 0) throw Raised();
  return count;
}
inline PyObject *item(PyObject *tuple, int64_t at) { // borrowed
  PyObject *found = PyTuple_GetItem(tuple, at);
  if (!found) throw Raised();
  return found;
}
// Of a dictionary, borrowed; null where it has no such key.
inline PyObject *found(PyObject *dictionary, PyObject *key) {
  PyObject *value = PyDict_GetItemWithError(dictionary, key);
  if (!value && PyErr_Occurred()) throw Raised();
  return value;
}
// Made of all its items at once: an incomplete tuple must never be visible to other code.
inline Object tuple(std::vector<Object> items) {
  Object made(PyTuple_New(int64_t(items.size())));
  for (size_t k = 0; k < items.size(); ++k)
    if (PyTuple_SetItem(made.get(), int64_t(k), items[k].release())) throw Raised();
  return made;
}

// The objects passed by Python on loading the binding; references kept by the process.
struct Host {
  const DLPackExchangeAPI *exchange;
  PyObject *none, *tensor, *parameter;
  PyObject *is_neg, *empty_like, *new_empty; // torch's
  PyObject *dense;                           // of gatewise.kernels.cpu.dense
  PyObject *buffer_pool, *workspace;         // modules of gatewise.kernels.cpu
  PyObject *float32, *float64;               // torch's
  PyObject *empty, *smallest;                // names in `buffer_pool`
  PyObject *larger;                          // a name in `workspace`
  PyObject *find, *get, *keep;               // names in `PackedWeights`
};
inline Host host;

inline bool is_none(PyObject *object) { return object == host.none; }

// A tensor's memory, shape and strides, in elements, from torch; they live as long as the tensor.
struct View : DLTensor {
  int64_t count() const {
    int64_t product = 1;
    for (int32_t k = 0; k < ndim; ++k) product *= shape[k];
    return product;
  }
  bool is_allocated() const { return data || !count(); }
  char *address() const { return static_cast<char *>(data) + byte_offset; }
  bool is(uint8_t code, int64_t bytes) const {
    return dtype.code == code && dtype.bits == 8 * bytes && dtype.lanes == 1;
  }
  bool is_contiguous() const {
    int64_t stride = 1;
    for (int32_t k = ndim; k-- > 0;) {
      if (shape[k] == 0) return true;
      if (shape[k] != 1 && strides[k] != stride) return false;
      stride *= shape[k];
    }
    return true;
  }
  bool is_dense_sequence() const { return strides[ndim - 1] == 1 || shape[ndim - 1] == 1; }
  bool has_shape(std::initializer_list<int64_t> expected) const {
    if (ndim != int64_t(expected.size())) return false;
    const int64_t *extent = shape;
    for (int64_t one : expected)
      if (*extent++ != one) return false;
    return true;
  }
};

// Of exactly torch's own types, whose layout in memory is that of the view.
inline bool is_plain_type(PyObject *object) {
  const Object type(PyObject_Type(object));
  return type.get() == host.tensor || type.get() == host.parameter;
}
// False, with no exception set, for what has no memory of the CPU: sparse, quantized, meta and wrapped tensors, and
// those of other devices.
inline bool look(PyObject *tensor, View &view) {
  if (host.exchange->view_of_object(tensor, &view) == 0) return view.device.type == kDLCPU;
  PyErr_Clear();
  return false;
}

} // namespace gatewise::python
