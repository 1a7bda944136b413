// The functions of a model for one instruction set.
#include "runtime/instance.h"

namespace gatewise {
namespace {

int64_t size(int64_t max_batch, int64_t chunk, int64_t threads, const char **message) {
  const struct {
    const char *message;
    bool ok;
  } checks[] = {{"max_batch: expected 1 to 1048576", max_batch >= 1 && max_batch <= 1 << 20},
                {"chunk: expected 1 to 16777216 steps", chunk >= 1 && chunk <= 1 << 24},
                {"threads: expected 1 to 1024", threads >= 1 && threads <= 1024}};
  for (const auto &one : checks)
    if (!one.ok) {
      *message = one.message;
      return -MODEL_BAD_SIZE;
    }
  return Instance::divide(Instance::limits_of(max_batch, chunk, threads), nullptr, 0, nullptr, message);
}

model_instance *place(void *memory, int64_t bytes, const void *weights, int64_t weight_bytes, int64_t max_batch,
                      int64_t chunk, const model_threads &threads, const char **message) {
  *message = check_weights_file(description, weights, weight_bytes, sizeof(Number));
  if (*message) return nullptr;
  Instance *made = nullptr;
  if (Instance::divide(Instance::limits_of(max_batch, chunk, threads.count), memory, bytes, &made, message) < 0)
    return nullptr;
  made->begin(weights, threads);
  return made;
}

Instance &of(model_instance &instance) { return static_cast<Instance &>(instance); }

} // namespace
} // namespace gatewise

#define MODEL_TEXT_OF(name) #name
#define MODEL_TEXT(name) MODEL_TEXT_OF(name)
#define MODEL_JOINED_OF(a, b) a##b
#define MODEL_JOINED(a, b) MODEL_JOINED_OF(a, b)
#define MODEL_FUNCTIONS MODEL_JOINED(model_functions_, MODEL_SET)

extern "C" {
[[gnu::visibility("hidden")]] extern const model_functions MODEL_FUNCTIONS;
const model_functions MODEL_FUNCTIONS = {
    MODEL_TEXT(MODEL_SET),
    GATEWISE_VECTOR_BYTES,
    gatewise::size,
    gatewise::place,
    [](model_instance &instance) { return gatewise::of(instance).reset(); },
    [](model_instance &instance, const model_call &call, int64_t steps) {
      return gatewise::of(instance).run(call, steps);
    },
    [](model_instance &instance, int64_t rows, const model_results &to) {
      return gatewise::of(instance).get(rows, to);
    },
    [](model_instance &instance, int64_t rows, const model_numbers &from) {
      return gatewise::of(instance).set(rows, from);
    },
};
}
