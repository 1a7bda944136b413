// The engine's C interface, for each number type. `int` results are 0, or 1 without memory.
#pragma once

#include "gemm.h"
#include "loop.h"
#include "norms.h"
#include "order.h"
#include "rows.h"
#include "tape.h"

#define GATEWISE_DECLARE(T, suffix)                                                                                    \
  GATEWISE_EXPORT int64_t gatewise_lanes_##suffix();                                                                   \
  GATEWISE_EXPORT int gatewise_run_##suffix(const gatewise::Job<T> *jobs, int64_t count, int64_t slices,               \
                                            gatewise::ParallelFor pool);                                               \
  GATEWISE_EXPORT int gatewise_play_##suffix(const gatewise::Tape *tape);                                              \
  GATEWISE_EXPORT int gatewise_multiply_##suffix(const gatewise::Gemm<T> *g, int64_t slices,                           \
                                                 gatewise::ParallelFor pool);                                          \
  GATEWISE_EXPORT void gatewise_pack_##suffix(const gatewise::Packing<T> *packing, gatewise::ParallelFor pool);        \
  GATEWISE_EXPORT void gatewise_add_up_##suffix(const gatewise::Sum<T> *sums, int64_t count);                          \
  GATEWISE_EXPORT void gatewise_measure_##suffix(const gatewise::Change<T> *changes, int64_t count, int64_t slices,    \
                                                 gatewise::ParallelFor pool);

GATEWISE_DECLARE(float, f32)
GATEWISE_DECLARE(double, f64)
#undef GATEWISE_DECLARE

// How many places there are; −1 when a length is none of [0, steps].
GATEWISE_EXPORT int64_t gatewise_order(const gatewise::Ordering *ordering);

GATEWISE_EXPORT void gatewise_copy_rows(const gatewise::RowCopy *rows, int64_t slices, gatewise::ParallelFor pool);

// Bumped when the words of a job or a block change; a cell that was compiled for another number is compiled again.
GATEWISE_EXPORT int64_t gatewise_abi();

// The widest instruction set that this processor runs, in vector bytes; called on the plain build alone.
GATEWISE_EXPORT int64_t gatewise_vector_bytes();
