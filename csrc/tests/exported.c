/* Drives the code of an exported model through its C interface, for the sanitizers: every buffer is a block of exactly
 * the size that it must have.
 *
 *     exported weights.bin [threads] */
#define _POSIX_C_SOURCE 200809L
#include "model.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 8, STEPS = 40, CHUNK = 16, TEAM = 3 };
#define AT_ONCE (MODEL_WHOLE_SEQUENCES || MODEL_READS_FROM_END)
#define CHECK(condition)                                                                                               \
  do {                                                                                                                 \
    if (!(condition)) {                                                                                                \
      fprintf(stderr, "exported.c:%d: %s\n", __LINE__, #condition);                                                    \
      exit(1);                                                                                                         \
    }                                                                                                                  \
  } while (0)

static void *block(int64_t count, size_t size) {
  void *made = calloc(count ? (size_t)count : 1, size);
  CHECK(made);
  return made;
}
static uint32_t drawn(uint32_t *state) {
  *state ^= *state << 13, *state ^= *state >> 17, *state ^= *state << 5;
  return *state;
}

/* A call of some steps and rows with blocks of its own; `all`: with everything that may be null, too. */
static model_call made(int64_t steps, int64_t rows, int all, uint32_t seed) {
  const int64_t places = steps * rows, answers = MODEL_OUTPUT_PER_STEP ? places : rows;
  model_call call;
  int64_t k;
  memset(&call, 0, sizeof call);
  call.steps = steps, call.rows = rows;
#define FILL(field, type, number, value)                                                                               \
  do {                                                                                                                 \
    type *const filled = block(number, sizeof(type));                                                                  \
    for (k = 0; k < (number); ++k) filled[k] = (type)(value);                                                          \
    call.field.data = filled, call.field.count = (number);                                                             \
  } while (0)
  FILL(numbers, model_number, places * MODEL_NUMBERS, drawn(&seed) / 2147483648.0 - 1);
  FILL(values, double, places *MODEL_VALUES, drawn(&seed) / 2147483648.0 - 1);
  FILL(tokens, int64_t, places *MODEL_TOKENS, drawn(&seed) % 2);
  FILL(further, double, rows *MODEL_FURTHER, drawn(&seed) % 2);
  FILL(output, model_number, answers * MODEL_OUTPUTS, NAN);
  if (all) {
    /* A series has a value at least. */
    FILL(lengths, int64_t, rows,
         MODEL_FURTHER ? 1 + drawn(&seed) % (uint32_t)steps : drawn(&seed) % (uint32_t)(steps + 1));
    FILL(reset, uint8_t, places, drawn(&seed) % 4 == 0);
    FILL(softmax, model_number, answers * MODEL_OUTPUTS, NAN);
    FILL(answers, int64_t, answers, -1);
    if (MODEL_HAS_MASKS) FILL(mask, uint8_t, places, drawn(&seed) % 4 != 0);
  }
  return call;
}
static void release(model_call *call) {
  const void *const blocks[] = {call->numbers.data, call->values.data, call->tokens.data, call->output.data,
                                call->lengths.data, call->reset.data,  call->mask.data,   call->softmax.data,
                                call->answers.data, call->further.data};
  size_t k;
  for (k = 0; k < sizeof blocks / sizeof *blocks; ++k) free((void *)blocks[k]);
}

static void compare(const model_number *found, const model_number *expected, int64_t count) {
  int64_t k;
  for (k = 0; k < count; ++k) CHECK(fabs((double)(found[k] - expected[k])) <= 1e-4 * (1 + fabs((double)expected[k])));
}

static model_instance *created(const void *weights, long bytes, const model_threads *threads) {
  model_instance *instance = model_create(weights, bytes, ROWS, AT_ONCE ? STEPS : CHUNK, threads);
  if (!instance) fprintf(stderr, "%s\n", model_error(NULL));
  CHECK(instance);
  return instance;
}

/* Calls of all sizes, and the same steps in other parts. */
static void run(const void *weights, long bytes) {
  model_instance *instance = created(weights, bytes, NULL);
  static const int64_t rows[] = {1, 2, 3, ROWS}, steps[] = {1, 2, 3, CHUNK, STEPS};
  size_t r, s;
  int all;
  for (r = 0; r < sizeof rows / sizeof *rows; ++r)
    for (s = 0; s < sizeof steps / sizeof *steps; ++s)
      for (all = 0; all < 2; ++all) {
        model_call call = made(steps[s], rows[r], all, 7), part;
        model_number *state = block(rows[r] * MODEL_STATE, sizeof *state);
        model_results to;
        int64_t t, at;
        CHECK(model_reset(instance) == MODEL_OK);
        CHECK(model_run(instance, &call) == MODEL_OK);
        for (at = 0; at < call.output.count; ++at) CHECK(isfinite((double)call.output.data[at]));
        to.data = state, to.count = rows[r] * MODEL_STATE;
        CHECK(model_state_get(instance, rows[r], to) == MODEL_OK);
        if (!AT_ONCE && !all && MODEL_OUTPUT_PER_STEP) {
          CHECK(model_reset(instance) == MODEL_OK);
          for (t = 0; t < steps[s]; ++t) {
            part = made(1, rows[r], 0, 1);
            memcpy((void *)part.numbers.data, call.numbers.data + t * rows[r] * MODEL_NUMBERS,
                   sizeof(model_number) * (size_t)(rows[r] * MODEL_NUMBERS));
            if (MODEL_VALUES)
              memcpy((void *)part.values.data, call.values.data + t * rows[r] * MODEL_VALUES,
                     sizeof(double) * (size_t)(rows[r] * MODEL_VALUES));
            if (MODEL_TOKENS)
              memcpy((void *)part.tokens.data, call.tokens.data + t * rows[r] * MODEL_TOKENS,
                     sizeof(int64_t) * (size_t)(rows[r] * MODEL_TOKENS));
            CHECK(model_step(instance, &part) == MODEL_OK);
            compare(part.output.data, call.output.data + t * rows[r] * MODEL_OUTPUTS, rows[r] * MODEL_OUTPUTS);
            release(&part);
          }
        }
        free(state);
        release(&call);
      }
  model_destroy(instance);
}

/* Every buffer one element too short, and sizes and values that no call has. */
static void reject(const void *weights, long bytes) {
  model_instance *instance = created(weights, bytes, NULL);
  model_call call = made(3, 2, 1, 5), bad;
  model_numbers state;
#define REJECTED(change, code)                                                                                         \
  do {                                                                                                                 \
    bad = call;                                                                                                        \
    change;                                                                                                            \
    CHECK(model_run(instance, &bad) == (code));                                                                        \
    CHECK(model_error(instance)[0]);                                                                                   \
  } while (0)
  if (MODEL_NUMBERS) REJECTED(--bad.numbers.count, MODEL_BAD_BUFFER);
  if (MODEL_NUMBERS) REJECTED(bad.numbers.data = NULL, MODEL_BAD_BUFFER);
  if (MODEL_VALUES) REJECTED(--bad.values.count, MODEL_BAD_BUFFER);
  if (MODEL_TOKENS) REJECTED(--bad.tokens.count, MODEL_BAD_BUFFER);
  REJECTED(--bad.output.count, MODEL_BAD_BUFFER);
  REJECTED(bad.output.data = NULL, MODEL_BAD_BUFFER);
  if (MODEL_FURTHER) REJECTED(--bad.further.count, MODEL_BAD_BUFFER);
  REJECTED(--bad.lengths.count, MODEL_BAD_BUFFER);
  REJECTED(--bad.reset.count, MODEL_BAD_BUFFER);
  REJECTED(--bad.softmax.count, MODEL_BAD_BUFFER);
  REJECTED(--bad.answers.count, MODEL_BAD_BUFFER);
  REJECTED((bad.mask = bad.reset, bad.mask.count = MODEL_HAS_MASKS ? 5 : 6), MODEL_BAD_BUFFER);
  REJECTED(bad.steps = 0, MODEL_BAD_SIZE);
  REJECTED(bad.steps = INT64_MAX, MODEL_BAD_SIZE);
  REJECTED(bad.rows = ROWS + 1, MODEL_BAD_SIZE);
  REJECTED(bad.rows = -1, MODEL_BAD_SIZE);
  ((int64_t *)call.lengths.data)[1] = 4;
  REJECTED((void)0, MODEL_BAD_VALUE);
  ((int64_t *)call.lengths.data)[1] = -1;
  REJECTED((void)0, MODEL_BAD_VALUE);
  ((int64_t *)call.lengths.data)[1] = 3;
  if (MODEL_TOKENS) {
    ((int64_t *)call.tokens.data)[0] = INT64_MAX;
    REJECTED((void)0, MODEL_BAD_VALUE);
    ((int64_t *)call.tokens.data)[0] = 0;
  }
  CHECK(model_run(instance, &call) == MODEL_OK);
  CHECK(model_run(instance, NULL) == MODEL_BAD_BUFFER && model_run(NULL, &call) == MODEL_BAD_BUFFER);
  memset(&state, 0, sizeof state);
  CHECK(model_state_set(instance, 2, state) == MODEL_BAD_BUFFER);
  CHECK(model_state_set(instance, 0, state) == MODEL_BAD_SIZE);
  CHECK(model_workspace(0, 1, NULL) < 0 && model_workspace(1, INT64_MAX, NULL) < 0 &&
        model_workspace(ROWS, 1, NULL) > 0);
  CHECK(!model_create(NULL, 100, 1, 1, NULL) && !model_create(weights, bytes, 1, -1, NULL));
  release(&call);
  model_destroy(instance);
}

static uint32_t crc32(const uint8_t *data, long bytes) {
  uint32_t found = ~0u;
  int bit;
  for (; bytes > 0; --bytes)
    for (found ^= *data++, bit = 0; bit < 8; ++bit) found = found >> 1 ^ (found & 1 ? 0xEDB88320u : 0);
  return ~found;
}
/* A file with some bytes changed, in a block of its own; `signed`: its checksum fits again. */
static int accepts(const uint8_t *weights, long bytes, long offset, uint64_t value, int width, int fits) {
  uint8_t *copy = block(bytes, 1);
  uint32_t sum;
  model_instance *instance;
  memcpy(copy, weights, (size_t)bytes);
  if (width) memcpy(copy + offset, &value, (size_t)width);
  if (fits && bytes >= 40) {
    sum = crc32(copy + 36, bytes - 36);
    memcpy(copy + 32, &sum, sizeof sum);
  }
  instance = model_create(copy, bytes, 1, 1, NULL);
  if (instance) model_destroy(instance);
  else CHECK(!strncmp(model_error(NULL), "weights: ", 9));
  free(copy);
  return instance != NULL;
}
static void fuzz(const uint8_t *weights, long bytes) {
  static const uint64_t hostile[] = {
      0, 1, 63, 1u << 31, UINT64_MAX, UINT64_MAX - 63, (uint64_t)1 << 63, UINT64_MAX / 64 * 64};
  uint32_t seed = 3, count;
  long offset;
  size_t k;
  int tries;
  CHECK(accepts(weights, bytes, 0, 0, 0, 1));
  for (offset = 0; offset < bytes; offset += offset < 200 ? 1 : bytes / 50 + 1)
    CHECK(!accepts(weights, offset, 0, 0, 0, 0) && !accepts(weights, offset, 0, 0, 0, 1));
  memcpy(&count, weights + 36, sizeof count);
  for (offset = 8; offset < 40 + 32 * (long)count; offset += offset < 40 ? 4 : 8)
    for (k = 0; k < sizeof hostile / sizeof *hostile; ++k) {
      const int width = offset < 40 ? 4 : 8;
      if (offset == 32 || !memcmp(weights + offset, hostile + k, (size_t)width)) continue;
      /* Another offset within the file is another tensor, which nothing can tell from the right one. */
      if (offset >= 40 && (offset - 40) % 32 == 0 && hostile[k] % 64 == 0 && hostile[k] < (uint64_t)bytes) continue;
      CHECK(!accepts(weights, bytes, offset, hostile[k], width, 1));
    }
  for (tries = 0; tries < 200; ++tries) {
    offset = drawn(&seed) % (uint32_t)bytes;
    CHECK(!accepts(weights, bytes, offset, weights[offset] ^ (1u << drawn(&seed) % 8), 1, 0));
  }
}

/* Threads of the test: as many instances, and one instance on several. */
typedef struct task {
  void (*run)(int64_t, void *);
  int64_t index;
  void *context;
} task;
static void *begin(void *of) {
  task *own = of;
  own->run(own->index, own->context);
  return NULL;
}
static void at_once(void *data, int64_t count, void (*run_one)(int64_t, void *), void *context) {
  pthread_t threads[TEAM];
  task tasks[TEAM];
  int64_t k;
  (void)data;
  CHECK(count <= TEAM);
  for (k = 0; k < count; ++k) {
    tasks[k].run = run_one, tasks[k].index = k, tasks[k].context = context;
    CHECK(!pthread_create(threads + k, NULL, begin, tasks + k));
  }
  for (k = 0; k < count; ++k) CHECK(!pthread_join(threads[k], NULL));
}
typedef struct shared {
  const void *weights;
  long bytes;
  const model_call *expected;
  int64_t asked;
} shared;
static void one_instance(int64_t index, void *of) {
  const shared *all = of;
  model_instance *instance = created(all->weights, all->bytes, NULL);
  model_call call = made(STEPS, ROWS, 1, 11);
  (void)index;
  CHECK(model_run(instance, &call) == MODEL_OK);
  compare(call.output.data, all->expected->output.data, call.output.count);
  release(&call);
  model_destroy(instance);
}
static void counted(void *data, int64_t count, void (*run_one)(int64_t, void *), void *context) {
  ++((shared *)data)->asked;
  at_once(NULL, count, run_one, context);
}
static void threads(const void *weights, long bytes) {
  model_call expected = made(STEPS, ROWS, 1, 11), call = made(STEPS, ROWS, 1, 11);
  model_instance *instance = created(weights, bytes, NULL);
  shared all;
  model_threads team;
  all.weights = weights, all.bytes = bytes, all.expected = &expected, all.asked = 0;
  CHECK(model_run(instance, &expected) == MODEL_OK);
  model_destroy(instance);
  at_once(NULL, TEAM, one_instance, &all);
  team.count = TEAM, team.run = counted, team.data = &all;
  instance = created(weights, bytes, &team);
  CHECK(model_run(instance, &call) == MODEL_OK);
  compare(call.output.data, expected.output.data, call.output.count);
  CHECK(all.asked > 0);
  model_destroy(instance);
  release(&call);
  release(&expected);
}

int main(int count, char **arguments) {
  FILE *file = count > 1 ? fopen(arguments[1], "rb") : NULL;
  uint8_t *weights;
  long bytes;
  CHECK(file && !fseek(file, 0, SEEK_END) && (bytes = ftell(file)) > 0 && !fseek(file, 0, SEEK_SET));
  weights = block(bytes, 1);
  CHECK(fread(weights, 1, (size_t)bytes, file) == (size_t)bytes);
  fclose(file);
  if (count > 2) threads(weights, bytes);
  else {
    run(weights, bytes);
    reject(weights, bytes);
    fuzz(weights, bytes);
  }
  free(weights);
  printf("all is well\n");
  return 0;
}
