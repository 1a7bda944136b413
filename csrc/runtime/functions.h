// What the functions of model.h call: those of one instruction set, in a namespace of its own.
#pragma once

#include "model.h"

#include <cstddef>

struct model_functions {
  const char *name;
  int64_t vector_bytes;
  // Bytes of an instance, or a negative code; `message` says what was wrong.
  int64_t (*size)(int64_t max_batch, int64_t chunk, int64_t threads, const char **message);
  // Puts an instance in that much memory, aligned to 64 bytes; null where the weights are not those of the model.
  model_instance *(*place)(void *memory, int64_t size, const void *weights, int64_t bytes, int64_t max_batch,
                           int64_t chunk, const model_threads &threads, const char **message);
  int32_t (*reset)(model_instance &);
  int32_t (*run)(model_instance &, const model_call &, int64_t steps);
  int32_t (*get)(model_instance &, int64_t rows, const model_results &);
  int32_t (*set)(model_instance &, int64_t rows, const model_numbers &);
};

// The beginning of every instance.
struct model_instance {
  const model_functions *functions;
  char message[256];
};
