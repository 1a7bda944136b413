// Jobs that are run again and again, each time on other addresses and for another number of steps.
#pragma once

#include "gemm.h"
#include "loop.h"

namespace gatewise {

// Where a word belongs that is told anew each time: *word = given[which] + offset.
struct Place {
  int64_t *word;
  int64_t which, offset;
};

// The layers of a stack, laid out once, run one after the other.
template <class T> struct Stack {
  const Job<T> *jobs;
  const Gemm<T> *products; // before each job its product with x; or null when the jobs make it step by step
  int64_t job_count, slices, product_slices;
  ParallelFor pool;
  const int64_t *given;
  const Place *places;
  int64_t place_count;
};

} // namespace gatewise
