// What is used of CPython's stable ABI (PEP 384, 3.11) and of DLPack's C exchange (version 1, which torch.Tensor offers
// since 2.10). Declared here, so that neither's headers are needed to build, and one library serves every Python.
#pragma once
#include <cstddef>
#include <cstdint>

extern "C" {

struct PyObject;
struct PyThreadState;
using PyFastFunction = PyObject *(*)(PyObject *self, PyObject *const *arguments, intptr_t count);
struct PyMethodDef {
  const char *name;
  PyFastFunction function;
  int flags;
  const char *documentation;
};
constexpr int METH_FASTCALL = 0x80;

void Py_IncRef(PyObject *);
void Py_DecRef(PyObject *);
PyObject *PyCFunction_NewEx(PyMethodDef *, PyObject *self, PyObject *module);
PyObject *PyObject_Type(PyObject *);
int PyObject_IsInstance(PyObject *, PyObject *type);
PyObject *PyObject_GetAttr(PyObject *, PyObject *name);
PyObject *PyObject_Vectorcall(PyObject *, PyObject *const *arguments, size_t count,
                              PyObject *names);                        // stable from 3.12, the same before
PyObject *PyObject_CallMethodObjArgs(PyObject *, PyObject *name, ...); // the last argument is null
PyObject *PyUnicode_InternFromString(const char *);
PyObject *PyLong_FromLongLong(long long);
long long PyLong_AsLongLong(PyObject *);
PyObject *PyBool_FromLong(long);
PyObject *PyFloat_FromDouble(double);
PyObject *PyTuple_New(intptr_t size);
intptr_t PyTuple_Size(PyObject *);
PyObject *PyTuple_GetItem(PyObject *, intptr_t);              // borrowed
int PyTuple_SetItem(PyObject *, intptr_t, PyObject *);        // steals
PyObject *PyDict_GetItemWithError(PyObject *, PyObject *key); // borrowed
PyObject *PyErr_Occurred();
void PyErr_Clear();
void PyErr_Fetch(PyObject **type, PyObject **value, PyObject **trace);
void PyErr_Restore(PyObject *type, PyObject *value, PyObject *trace);
PyObject *PyErr_NoMemory();
int PyErr_CheckSignals();
PyThreadState *PyEval_SaveThread();
void PyEval_RestoreThread(PyThreadState *);

enum DLDeviceType : int32_t { kDLCPU = 1 };
enum DLDataTypeCode : uint8_t { kDLInt = 0, kDLFloat = 2, kDLBool = 6 };
struct DLDevice {
  int32_t type, number;
};
struct DLDataType {
  uint8_t code, bits;
  uint16_t lanes;
};
struct DLTensor {
  void *data;
  DLDevice device;
  int32_t ndim;
  DLDataType dtype;
  int64_t *shape, *strides;
  uint64_t byte_offset;
};
struct DLManagedTensorVersioned;
struct DLPackExchangeAPI {
  uint32_t major, minor;
  DLPackExchangeAPI *previous; // of an older major version, or null
  int (*allocate)(DLTensor *like, DLManagedTensorVersioned **made, void *context,
                  void (*set_error)(void *context, const char *kind, const char *message));
  int (*from_object)(void *object, DLManagedTensorVersioned **made);
  int (*to_object)(DLManagedTensorVersioned *stolen, void **object);
  int (*view_of_object)(void *object, DLTensor *view);
  int (*current_stream)(int32_t device_type, int32_t device_number, void **stream);
};
}
