// What the engine did once, to be done again and again: each time on other addresses, or for another number of steps.
#pragma once

#include "gemm.h"
#include "loop.h"
#include "order.h"
#include "rows.h"
#include "sums.h"

namespace gatewise {

template <class T> struct Runs {
  const Job<T> *jobs;
  int64_t count, slices;
};

template <class T> struct Multiplication {
  Gemm<T> product;
  int64_t slices;
};

template <class T> struct Sums {
  const Sum<T> *sums;
  int64_t count;
};

// Rows are put in order, and what is padding becomes zero: the index of `padding` and its count are found here.
struct Sorting {
  Ordering ordering;
  RowCopy padding; // without `to` nothing becomes zero
};

enum OperationKind : int64_t { run_jobs, multiply_matrices, pack_weights, add_up, sort_rows };

// One of the above.
struct Operation {
  OperationKind kind;
  const void *what;
};

// Where a word belongs that is told anew each time: *word = given[which] + offset.
struct Place {
  int64_t *word;
  int64_t which, offset;
};

struct Tape {
  const Operation *operations;
  int64_t operation_count;
  ParallelFor pool;
  const int64_t *given;
  const Place *places;
  int64_t place_count;
};

} // namespace gatewise
