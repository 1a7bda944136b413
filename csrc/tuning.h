// Every threshold, with its unit and the measurement behind it. Measured on two cores of an AMD EPYC (Zen 5), AVX-512,
// unless it says otherwise; multiply-adds are those of float.
#pragma once

#include <algorithm>
#include <cstdint>

namespace gatewise {

// Multiply-adds of a step below which a barrier between threads costs more than the second thread saves.
inline constexpr int64_t units_worth_splitting = 150'000;
// Multiply-adds of a whole call below which one thread is faster than waking another.
inline constexpr int64_t call_worth_splitting = 400'000;
// The same of one matrix product.
inline constexpr int64_t product_worth_splitting = 200'000;
// Elements to pack from which a second thread helps.
inline constexpr int64_t packing_worth_splitting = 1 << 17;
// A thread with fewer rows than this reads the weights more often than it uses them.
inline constexpr int64_t rows_per_thread = 4;
// Weights of a step that exceed a core's own cache, and the number of them per row of a thread: beyond both, threads
// that partition rows wait for the same weights, and threads that partition units read half of them each.
inline constexpr int64_t weights_beyond_cache = 1 << 19, weights_per_row = 1 << 15;
// With fewer rows than this, products of all steps at once use the weights better than products step by step.
inline constexpr int64_t rows_worth_steps = 4;
// Calls of at most this many rows and steps read weights in place: packing costs more than it saves.
inline constexpr int64_t rows_in_place = 2, steps_in_place = 2;
// What the elementwise work on a unit costs, in multiply-adds.
inline constexpr int64_t elementwise_cost = 64;

// How the rows or units of each direction are partitioned.
struct Split {
  int64_t slices = 1; // per direction
  bool units = false; // whether they take units and meet at a barrier in every step, rather than rows
};

// `weights`: those that a step multiplies by; `whole_rows`: whether no row may be divided. A pure function of the call,
// never of the load.
inline Split split(int64_t rows, int64_t steps, int64_t weights, int64_t directions, int64_t threads, bool share_small,
                   bool whole_rows) {
  const int64_t step = rows * weights;
  const int64_t slices = std::max<int64_t>(1, threads / directions);
  if (slices == 1 || (step * steps < call_worth_splitting && !share_small)) return {};
  if (whole_rows) return {std::min(slices, rows), false};
  const bool many = weights >= weights_beyond_cache && weights * slices > weights_per_row * rows;
  if (rows >= rows_per_thread * slices && !many) return {slices, false};
  if (step >= units_worth_splitting || share_small) return {slices, true};
  if (rows > 1 && step * steps > 4 * call_worth_splitting) return {std::min(slices, rows), false};
  return {};
}

// How many registers wide each output's strip is. With few rows a strip is wide, so that enough sums are under way to
// hide the latency of one; with many it leaves registers for more rows. It is not much wider than the units `together`
// that read the same values: all, or those of a head.
inline int64_t registers_per_output(int64_t rows, int64_t outputs, int64_t hidden, int64_t together, int64_t lanes,
                                    int64_t unit_slices) {
  int64_t registers = std::max<int64_t>(1, (rows <= 2 ? 8 : 4) / outputs);
  while (registers > 1 && registers / 2 * lanes >= together) registers /= 2;
  while (registers > 1 && (hidden + registers * lanes - 1) / (registers * lanes) < unit_slices) registers /= 2;
  return registers;
}

inline int64_t product_slices(int64_t rows, int64_t depth, int64_t columns, int64_t threads, bool share_small) {
  return rows * depth * columns < product_worth_splitting && !share_small
             ? 1
             : std::max<int64_t>(1, std::min(threads, rows));
}

} // namespace gatewise
