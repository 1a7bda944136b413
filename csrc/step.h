// Jobs that are run again and again, each time on other addresses.
#pragma once

#include "loop.h"

namespace gatewise {

// Where an address belongs that is told anew each time: *word = given[which] + offset.
struct Place {
  int64_t *word;
  int64_t which, offset;
};

// Jobs that are laid out once and run again and again, one after the other: the layers of a stack in a single step.
template <class T> struct Step {
  const Job<T> *jobs;
  int64_t job_count, slices;
  ParallelFor pool;
  const int64_t *given;
  const Place *places;
  int64_t place_count;
};

} // namespace gatewise
