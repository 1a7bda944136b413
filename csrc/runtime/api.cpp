// The functions of model.h, once in a program: they choose between the instruction sets.
#include "runtime/functions.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#ifdef __linux__
#include <sys/mman.h>
#endif

extern "C" {
#ifdef MODEL_ALL_SETS // of x86-64, each a file of its own
[[gnu::visibility("hidden")]] extern const model_functions model_functions_avx512, model_functions_avx2;
#endif
}

namespace {

thread_local char creation_message[256];

const model_functions *chosen() {
  const model_functions *const sets[] = {
#ifdef MODEL_ALL_SETS
      &model_functions_avx512,
      &model_functions_avx2,
#endif
      &MODEL_FUNCTIONS,
  };
  const int64_t widest = gatewise_vector_bytes();
  const char *const forced = std::getenv("GATEWISE_ISA");
  for (const model_functions *one : sets)
    if (one->vector_bytes <= widest && (!forced || !std::strcmp(forced, one->name))) return one;
  for (const model_functions *one : sets)
    if (one->vector_bytes <= widest) return one;
  return nullptr;
}

// Aligned to lines of the cache, or where there is much of it to large pages, whose addresses fill a cache evenly.
void *allocated(int64_t size) {
  constexpr int64_t line = 64, page = int64_t(1) << 21;
  const int64_t unit = size < page ? line : page;
  void *const memory = std::aligned_alloc(size_t(unit), size_t((size + unit - 1) / unit * unit));
#ifdef MADV_HUGEPAGE
  if (memory && unit == page) madvise(memory, size_t(size), MADV_HUGEPAGE);
#endif
  return memory;
}

model_instance *refused(const char *message) {
  std::snprintf(creation_message, sizeof creation_message, "%s", message);
  return nullptr;
}

} // namespace

extern "C" {

MODEL_API int64_t model_workspace(int64_t max_batch, int64_t chunk, const model_threads *threads) {
  const model_functions *const functions = chosen();
  const char *message = "";
  if (!functions) return -MODEL_BAD_PROCESSOR;
  const int64_t bytes = functions->size(max_batch, chunk, threads ? threads->count : 1, &message);
  if (bytes < 0) refused(message);
  return bytes;
}

MODEL_API model_instance *model_create(const void *weights, int64_t bytes, int64_t max_batch, int64_t chunk,
                                       const model_threads *threads) {
  const model_functions *const functions = chosen();
  if (!functions) return refused("this processor does not have the instructions that the code was compiled for");
  if (threads && threads->count > 1 && !threads->run) return refused("threads: expected a function `run`, got null");
  const model_threads given = threads ? *threads : model_threads{1, nullptr, nullptr};
  const char *message = "";
  const int64_t size = functions->size(max_batch, chunk, given.count, &message);
  if (size < 0) return refused(message);
  void *const memory = allocated(size);
  if (!memory) return refused("there is no memory for the instance");
  model_instance *const instance = functions->place(memory, size, weights, bytes, max_batch, chunk, given, &message);
  if (!instance) {
    std::free(memory);
    return refused(message);
  }
  instance->functions = functions;
  return instance;
}

MODEL_API void model_destroy(model_instance *instance) { std::free(instance); }

MODEL_API int32_t model_reset(model_instance *instance) {
  return instance ? instance->functions->reset(*instance) : int32_t(MODEL_BAD_BUFFER);
}
MODEL_API int32_t model_run(model_instance *instance, const model_call *call) {
  return instance && call ? instance->functions->run(*instance, *call, call->steps) : int32_t(MODEL_BAD_BUFFER);
}
MODEL_API int32_t model_step(model_instance *instance, const model_call *call) {
  return instance && call ? instance->functions->run(*instance, *call, 1) : int32_t(MODEL_BAD_BUFFER);
}
MODEL_API int32_t model_state_get(model_instance *instance, int64_t rows, model_results state) {
  return instance ? instance->functions->get(*instance, rows, state) : int32_t(MODEL_BAD_BUFFER);
}
MODEL_API int32_t model_state_set(model_instance *instance, int64_t rows, model_numbers state) {
  return instance ? instance->functions->set(*instance, rows, state) : int32_t(MODEL_BAD_BUFFER);
}
MODEL_API const char *model_error(const model_instance *instance) {
  return instance ? instance->message : creation_message;
}
MODEL_API const char *model_instruction_set(const model_instance *instance) {
  return instance ? instance->functions->name : "";
}

} // extern "C"
