/* A trained model without Python or torch: what a program calls. C99.
 *
 * An instance is created from the contents of weights.bin and is then for one thread at a time; instances are
 * independent of each other, and may share the weights, which must stay where they are until the last is destroyed.
 * Nothing is allocated after model_create. Sequences are (T, B, width): T steps, B rows (sequences side by side), the
 * numbers of a step of a row next to each other. Every buffer comes with its number of elements, which is checked in
 * every call. */
#ifndef MODEL_H
#define MODEL_H

#include <stddef.h>
#include <stdint.h>

/* CONSTANTS */

#ifdef __cplusplus
extern "C" {
#endif

enum model_code {
  MODEL_OK = 0,
  MODEL_BAD_WEIGHTS = 1,   /* not the weights of this model, or damaged */
  MODEL_BAD_SIZE = 2,      /* a number of steps, rows or threads that the instance does not take */
  MODEL_BAD_BUFFER = 3,    /* a buffer is missing, too short or not wanted */
  MODEL_BAD_VALUE = 4,     /* a length or a token that is out of range */
  MODEL_NO_MEMORY = 5,     /* of model_create alone */
  MODEL_BAD_PROCESSOR = 6, /* the code was compiled for an instruction set that this processor does not have */
  MODEL_BROKEN = 7         /* the code of the model does not fit together */
};

typedef struct model_numbers {
  const model_number *data;
  int64_t count; /* of elements, here and below */
} model_numbers;
typedef struct model_values {
  const double *data;
  int64_t count;
} model_values;
typedef struct model_integers {
  const int64_t *data;
  int64_t count;
} model_integers;
typedef struct model_flags {
  const uint8_t *data; /* 0 or 1 */
  int64_t count;
} model_flags;
typedef struct model_results {
  model_number *data;
  int64_t count;
} model_results;
typedef struct model_choices {
  int64_t *data;
  int64_t count;
} model_choices;

/* What a call reads and writes. Fill with zeros ({0}) and set what is needed. */
typedef struct model_call {
  int64_t steps, rows;    /* T, B; model_step takes one step, whatever `steps` says */
  model_numbers numbers;  /* (T, B, MODEL_NUMBERS) */
  model_values values;    /* (T, B, MODEL_VALUES), in units of the data; NaN where one is missing */
  model_integers tokens;  /* (T, B, MODEL_TOKENS), from 0 */
  model_integers lengths; /* (B), the valid steps of each row; or null: T */
  model_flags reset;      /* (T, B), 1: nothing flows from the step before to this one; or null */
  model_flags mask;       /* (T, B), 0: the step is skipped; or null. Only of bare layers (MODEL_HAS_MASKS) */
  model_results output;   /* (T, B, MODEL_OUTPUTS), or (B, MODEL_OUTPUTS) where MODEL_OUTPUT_PER_STEP is 0 */
  model_results softmax;  /* likewise: the softmax of the output; or null */
  model_choices answers;  /* (T, B) or (B): the most probable class of each step or sequence; or null */
  model_values further;   /* (B, MODEL_FURTHER): of each step that is forecast its values and tokens */
} model_call;

/* Threads of the caller's. `run` calls task(index, context) for all indices below `count`, at once and each on a thread
 * of its own, and returns when all have ended. */
typedef struct model_threads {
  int64_t count; /* at most; the work is divided into as many parts, which determines the last bits of results */
  void (*run)(void *data, int64_t count, void (*task)(int64_t index, void *context), void *context);
  void *data;
} model_threads;

typedef struct model_instance model_instance;

#ifndef MODEL_API
#define MODEL_API
#endif

/* The bytes that model_create allocates; negative: no instance has these sizes.
 *
 * max_batch, chunk: the most rows of a call, and the most steps that are computed at once. */
MODEL_API int64_t model_workspace(int64_t max_batch, int64_t chunk, const model_threads *threads);

/* A new instance with a zero state, or null; then model_error(NULL) says why. weights: of weights.bin, 8-byte aligned.
 * threads: or null for one. */
MODEL_API model_instance *model_create(const void *weights, int64_t bytes, int64_t max_batch, int64_t chunk,
                                       const model_threads *threads);
MODEL_API void model_destroy(model_instance *instance);

/* All functions below return a code of model_code. */

/* Zero states: sequences begin. */
MODEL_API int32_t model_reset(model_instance *instance);

/* The next steps of sequences, from the state that the call before has left. Where MODEL_WHOLE_SEQUENCES is 1 they are
 * whole ones, and begin with a zero state. Where a layer reads from the end (MODEL_READS_FROM_END) there are at most
 * `chunk` steps, and its state is zero at the end of each call. */
MODEL_API int32_t model_run(model_instance *instance, const model_call *call);

/* One step. */
MODEL_API int32_t model_step(model_instance *instance, const model_call *call);

/* The state, MODEL_STATE numbers a row: for each layer and direction from the lowest, for each state of its cell
 * (D, B, H), or P wide. A state is set for as many rows as the next calls have. */
MODEL_API int32_t model_state_get(model_instance *instance, int64_t rows, model_results state);
MODEL_API int32_t model_state_set(model_instance *instance, int64_t rows, model_numbers state);

/* What was wrong with the last call that failed; of NULL with the last model_create of this thread. */
MODEL_API const char *model_error(const model_instance *instance);

/* The instruction set that runs: avx512, avx2 or plain. */
MODEL_API const char *model_instruction_set(const model_instance *instance);

#ifdef __cplusplus
}
#endif
#endif
