/* Reads a stream of steps, one a line, and prints what the model computes.
 *
 *     main weights.bin < steps.txt
 *
 * A line has MODEL_VALUES values, MODEL_NUMBERS numbers and MODEL_TOKENS tokens, separated by white space. An empty
 * line ends a sequence. A model that reads whole sequences answers at their ends, others after every line. */
#include "model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AT_ONCE (MODEL_WHOLE_SEQUENCES || MODEL_READS_FROM_END)
#define MOST_STEPS (AT_ONCE ? 4096 : 1)

/* At least one element, since C has no arrays of none. */
static double values[MOST_STEPS * MODEL_VALUES + 1];
static model_number numbers[MOST_STEPS * MODEL_NUMBERS + 1];
static int64_t tokens[MOST_STEPS * MODEL_TOKENS + 1];
static model_number output[MOST_STEPS * MODEL_OUTPUTS];
static int64_t answers[MOST_STEPS];

static int fail(const char *message) {
  fprintf(stderr, "%s\n", message);
  return 1;
}

/* All of a file; null if it cannot be read. */
static void *contents(const char *path, long *bytes) {
  FILE *file = fopen(path, "rb");
  void *found = NULL;
  if (!file) return NULL;
  if (!fseek(file, 0, SEEK_END) && (*bytes = ftell(file)) > 0 && !fseek(file, 0, SEEK_SET)) {
    found = malloc((size_t)*bytes);
    if (found && fread(found, 1, (size_t)*bytes, file) != (size_t)*bytes) {
      free(found);
      found = NULL;
    }
  }
  fclose(file);
  return found;
}

/* The numbers of a line; whether there are as many as a step has. */
static int read_step(char *line, int64_t step) {
  char *end = line;
  int k;
  for (k = 0; k < MODEL_VALUES + MODEL_NUMBERS + MODEL_TOKENS; ++k, line = end) {
    const double found = strtod(line, &end);
    if (end == line) return 0;
    if (k < MODEL_VALUES) values[step * MODEL_VALUES + k] = found;
    else if (k < MODEL_VALUES + MODEL_NUMBERS) numbers[step * MODEL_NUMBERS + (k - MODEL_VALUES)] = (model_number)found;
    else tokens[step * MODEL_TOKENS + (k - MODEL_VALUES - MODEL_NUMBERS)] = (int64_t)found;
  }
  return strspn(line, " \t\r\n") == strlen(line);
}

static int answer(model_instance *instance, int64_t steps) {
  const int64_t rows = MODEL_OUTPUT_PER_STEP ? steps : 1;
  model_call call;
  int64_t row;
  int k;
  memset(&call, 0, sizeof call);
  call.steps = steps;
  call.rows = 1;
  call.values.data = values;
  call.values.count = steps * MODEL_VALUES;
  call.numbers.data = numbers;
  call.numbers.count = steps * MODEL_NUMBERS;
  call.tokens.data = tokens;
  call.tokens.count = steps * MODEL_TOKENS;
  call.output.data = output;
  call.output.count = rows * MODEL_OUTPUTS;
  if (MODEL_HAS_ANSWERS) {
    call.answers.data = answers;
    call.answers.count = rows;
  }
  if (model_run(instance, &call)) return fail(model_error(instance));
  for (row = 0; row < rows; ++row) {
    for (k = 0; k < MODEL_OUTPUTS; ++k) printf("%s%.6g", k ? " " : "", (double)output[row * MODEL_OUTPUTS + k]);
    if (MODEL_HAS_ANSWERS) printf(" -> %ld", (long)answers[row]);
    printf("\n");
  }
  fflush(stdout);
  return 0;
}

int main(int count, char **arguments) {
  static char line[1 << 16];
  long bytes = 0;
  int64_t steps = 0;
  int failed = 0;
  void *weights;
  model_instance *instance;
  if (count != 2) return fail("usage: main weights.bin < steps.txt");
  weights = contents(arguments[1], &bytes);
  if (!weights) return fail("the file of weights cannot be read");
  instance = model_create(weights, bytes, 1, MOST_STEPS, NULL);
  if (!instance) {
    free(weights);
    return fail(model_error(NULL));
  }
  while (!failed && fgets(line, sizeof line, stdin)) {
    if (strspn(line, " \t\r\n") == strlen(line)) {
      if (AT_ONCE && steps) failed = answer(instance, steps);
      model_reset(instance);
      steps = 0;
    } else if (steps == MOST_STEPS) failed = fail("the sequence is too long");
    else if (!read_step(line, steps)) failed = fail("a line does not have the numbers of a step");
    else if (AT_ONCE) ++steps;
    else failed = answer(instance, 1);
  }
  if (AT_ONCE && steps && !failed) failed = answer(instance, steps);
  model_destroy(instance);
  free(weights);
  return failed;
}
