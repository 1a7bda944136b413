// The interface between the engine and the code emitted for a cell.
#pragma once

#include <cstdint>

// Everything else is hidden: several instruction sets are loaded into one process, and must not share a template.
#ifndef GATEWISE_EXPORT
#define GATEWISE_EXPORT extern "C" [[gnu::visibility("default")]]
#endif

// Around emitted work: GCC orders instructions before it assigns registers, so that the activations of a unit, each a
// chain of operations that wait for each other, take turns. (A register of an LSTM's units: 58 cycles rather than 69.)
#if defined(__GNUC__) && !defined(__clang__)
#define GATEWISE_WORK_BEGINS _Pragma("GCC push_options") _Pragma("GCC optimize(\"schedule-insns\")")
#define GATEWISE_WORK_ENDS _Pragma("GCC pop_options")
#else
#define GATEWISE_WORK_BEGINS
#define GATEWISE_WORK_ENDS
#endif

namespace gatewise {

// An export has the forward pass alone, in one type of number and one precision of products: GATEWISE_INFERENCE, float
// or double, and GATEWISE_INFERENCE_PRECISION, as in a call.
#ifdef GATEWISE_INFERENCE
inline constexpr bool inference = true;
inline constexpr int inference_precision = GATEWISE_INFERENCE_PRECISION;
#else
inline constexpr bool inference = false;
inline constexpr int inference_precision = 0;
#endif

inline constexpr int most_rows = 8; // rows of a tile

// A block of the elementwise work of one stage: some rows (sequences) times some units. The caller owns everything;
// arrays that are written do not overlap with others that are read in the same stage, but for the unit itself.
template <class T> struct Block {
  T *const *const *row;   // row[array][r]: where row r of an array begins, block after block of `hidden` units
  const T *const *vector; // vector[k]: (H) parameters, the same for all rows
  T *const *sum;          // sum[k]: (H) gradients of vectors, this thread's partial sum
  const T *product;       // the products of this stage: [product][row][output][width]
  int64_t rows;           // at most most_rows
  int64_t first_unit, units;
  int64_t width;       // of an output in `product`, at least `units`
  int64_t hidden;      // all units of the stage: H, or P
  int64_t input_block; // distance between input projections, which elsewhere is H
  T *total;            // [row][sum][lanes]: sums over units, added to lane by lane
};

template <class T> using Work = void (*)(const Block<T> &);

} // namespace gatewise
