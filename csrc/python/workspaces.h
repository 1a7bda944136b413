// Workspaces: scratch memory of a call, reused by later calls, since fresh pages cost as much as a product of their
// size.
#pragma once
#include "api.h"
#include "python/objects.h"

#include <vector>

namespace gatewise::python {

// New memory, a `Workspace` of Python's; raises a MemoryError where there is none.
inline Object larger(int64_t bytes) {
  return Object(PyObject_CallMethodObjArgs(host.workspace, host.larger, number(bytes).get(), nullptr));
}
inline gatewise_dense bytes_of(PyObject *workspace) {
  return {reinterpret_cast<void *>(number(item(workspace, 1))), number(item(workspace, 2))};
}

// Those that no call uses; touched under the interpreter's lock, by code that runs no Python.
class FreeWorkspaces {
public:
  Object take() {
    if (free.empty()) return Object();
    Object last = std::move(free.back());
    free.pop_back();
    return last;
  }
  void give_back(Object &&one) noexcept {
    if (int64_t(free.size()) < limit && bytes_of(one.get()).count <= largest) free.push_back(std::move(one));
  }
  // How many are kept from now on, and none of those so far; returns how many were.
  int64_t keep(int64_t count) {
    std::vector<Object> released;
    released.reserve(size_t(count));
    free.swap(released); // freeing memory may run other code
    return std::exchange(limit, count);
  }

private:
  static constexpr int64_t largest = 1 << 28; // bytes; larger ones are freed at once
  int64_t limit = 0;
  std::vector<Object> free;
};

// Never destroyed: the interpreter, which owns the memory, may end before the process does.
inline FreeWorkspaces &workspaces = *new FreeWorkspaces;

// Of one call.
class Workspace {
public:
  Workspace() : object(workspaces.take()) {}
  ~Workspace() {
    if (object) workspaces.give_back(std::move(object));
  }
  Workspace(const Workspace &) = delete;
  Workspace &operator=(const Workspace &) = delete;
  void grow(int64_t bytes) {
    object = Object(); // before, so that both do not exist at once
    object = larger(bytes);
  }
  gatewise_dense bytes() const { return object ? bytes_of(object.get()) : gatewise_dense{}; }

private:
  Object object;
};

} // namespace gatewise::python
