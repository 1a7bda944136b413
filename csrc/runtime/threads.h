// The caller's threads as a pool of the engine's.
#pragma once

#include "api.h"
#include "model.h"

#include <algorithm>

namespace gatewise {

// How the work of a call is divided.
struct Team {
  int64_t threads;
  gatewise_pool pool;
};

// The engine's pool takes no data; it is called on the thread that runs the instance.
static thread_local const model_threads *calling = nullptr;

inline int32_t run_on_callers_threads(int64_t begin, int64_t end, int64_t grain, void (*body)(int64_t, int64_t, void *),
                                      void *context) {
  struct Work {
    int64_t begin, end, grain;
    void (*body)(int64_t, int64_t, void *);
    void *context;
  } work{begin, end, std::max<int64_t>(1, grain), body, context};
  const int64_t count = (end - begin + work.grain - 1) / work.grain;
  const auto task = [](int64_t index, void *of) {
    const Work &all = *static_cast<Work *>(of);
    const int64_t from = all.begin + index * all.grain;
    all.body(from, std::min(from + all.grain, all.end), all.context);
  };
  calling->run(calling->data, count, task, &work);
  return 0;
}

inline Team team_of(const model_threads &threads) {
  if (threads.count <= 1) return {1, nullptr};
  calling = &threads;
  return {threads.count, run_on_callers_threads};
}

} // namespace gatewise
