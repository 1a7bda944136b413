// The time loop: stages of products and elementwise work, step by step, forward or backward, on a partition of a team.
#pragma once

#include "bytes.h"
#include "cell.h"
#include "dot.h"
#include "heads.h"
#include "masks.h"
#include "norms.h"
#include "program.h"
#include "team.h"
#include "tile.h"
#include "tuning.h"
#include "workspace.h"

#include <algorithm>

namespace gatewise {

// How the row of an array is found at step s of a row's own processing order. Rows are sequences, longest first. Those
// that look back give at the array's first step `other`, by the caller's row, and zeros after a cut.
enum ArrayKind {
  absent,               // no memory: values are not stored
  sequence,             // base + (place(s) + r − origin) · stride
  sequence_previous,    // the same at s − 1
  caller_rows,          // base + time · step_stride + caller's row · stride
  caller_rows_previous, // the same at s − 1
  per_row,              // base + r · stride
  alternating,          // base + (s % 2 · rows + r) · stride
  alternating_previous, // the same at s − 1
  gradient_arriving,    // base + r · stride; after the last step `other`; zeros after a cut
};

template <class T> struct Array {
  ArrayKind kind = absent;
  T *base = nullptr;
  int64_t stride = 0, step_stride = 0, origin = 0;
  T *other = nullptr; // initial states, or gradients of final states
  int64_t other_stride = 0, first = 0;
};

template <class T> struct Product {
  int64_t operand, offset;     // array, and units into its rows
  int64_t depth_blocks, depth; // blocks of this depth each, stacked
  int64_t outputs, first_output;
  int64_t head, widest;   // units of a head, or 0; of the depth of a block what strips are packed for, all of it unless
                          // blocks are divided into heads
  const T *packed;        // by strip, in numbers or in pairs; null: in place, or bytes
  const std::byte *bytes; // the same as 8-bit integers; or null
  const T *const *blocks; // the blocks (units, depth) in place
  int64_t add;            // whether an earlier product filled the same outputs
};

template <class T> struct Stage {
  Work<T> work; // or null
  int64_t units;
  bool narrow; // whether they are those of a projection
  const Product<T> *products;
  int64_t product_count, output_count;
  const T *input_packed;        // weights of x by strip; see Job::input_depth
  const std::byte *input_bytes; // the same as 8-bit integers; or null
  const T *input_start;         // what is added to the products
  const T *const *input_blocks, *const
                                    *input_vectors; // the same in place, where `input_packed` is null; vectors or null
  int64_t input_first, input_count;                 // the input projections that the work reads
  bool whole_rows;
  int64_t first_sum, sum_count; // the row values that are its sums over units
};

// The mask of an array, (rows, width), which each participant fills for its own rows and units.
template <class T> struct MaskJob {
  T *values;
  MaskKey key;
  bool each_step;
  uint64_t threshold;
  T kept;
  int64_t width;
  bool narrow;
};

// Where the states at a row's end, or backward the gradients of its initial states, are copied to.
template <class T> struct Final {
  int64_t array; // one of the kinds that look back
  T *to;         // (rows, width), by the caller's row
  int64_t width;
  bool narrow;
};

// States, from number `first` on, whose gradients are the blocks of an array.
struct ObservedStates {
  int64_t array, first, count, width;
  bool narrow;
};

// The gradient of a state's sequence, which is added to what arrives from the next step.
template <class T> struct SequenceGradient {
  int64_t array; // of the kind gradient_arriving
  Array<T> rows; // the caller's
  int64_t width;
  bool narrow;
};

// One direction of one layer, for the steps [begin, end).
template <class T> struct Job {
  int64_t steps, rows, hidden, projection;
  bool backward, reverse; // through the steps; and whether the caller's time runs against them
  bool from_last;         // whether the first step begins with the last strip
  int64_t begin, end;
  const int64_t *at;     // (steps + 1): a step's first place in the sequence arrays; null: rows · time
  const int64_t *active; // (steps): how many rows are longer than s; null: all
  const int64_t *length; // (rows); null: steps
  const int64_t *caller; // (rows): the caller's row of each; null: the same
  const uint8_t *cut;    // (steps + 1, rows): true at s, nothing flows between s − 1 and s; or null
  int64_t blocks;        // registers per output in a strip
  const Stage<T> *stages;
  int64_t stage_count;
  const Array<T> *arrays;
  int64_t array_count;
  const T *const *vectors;
  T *sums; // (slices, sum_count, hidden): added to
  int64_t sum_count;
  const Final<T> *finals;
  int64_t final_count;
  const SequenceGradient<T> *sequence_gradients;
  int64_t sequence_gradient_count;
  const MaskJob<T> *masks;
  int64_t mask_count, mask_step; // of time 0
  const T *zeros;                // (hidden)
  bool split_units;              // slices are of units and meet at a barrier in each stage; else slices are of rows
  int64_t input;                 // the array of input projections
  int64_t input_depth;           // or, unless 0, it holds x itself, this wide, and each step multiplies
  int64_t row_values;            // the array of sums over units
  int64_t quantised;             // the largest depth of products of 8-bit integers; 0: there are none
  int64_t paired;                // the pairs of the widest operand, if products are of pairs of bfloat16; or 0
  // For observers, at every step and row the norm of the gradient of each state, by the caller's (time, row); null when
  // there are none. Where a team partitions units, each participant's sum of squares instead: (slices, places, states),
  // places from `norm_origin` on.
  double *norms;
  const ObservedStates *measured;
  int64_t measured_count, state_count, norm_places, norm_origin;

  int64_t place_of(int64_t s) const { return at ? at[s] : (reverse ? steps - 1 - s : s) * rows; }
  int64_t active_at(int64_t s) const { return active ? active[s] : rows; }
  int64_t length_of(int64_t r) const { return length ? length[r] : steps; }
  int64_t caller_of(int64_t r) const { return caller ? caller[r] : r; }
  int64_t time_of(int64_t s, int64_t r) const { return reverse ? length_of(r) - 1 - s : s; }
  bool cut_before(int64_t s, int64_t r) const { return cut && cut[s * rows + r]; }
  int64_t width() const { return blocks * lanes<T>; }
};

// What one participant of the team computes: slices [begin, end) of `slices`.
template <class T> class Share {
public:
  // Bytes of scratch that a slice needs; a worker of several slices may use the scratch of all of them.
  // `quantised`, `paired`: those of the job.
  static int64_t scratch_bytes(const PassInfo &pass, int64_t rows, int64_t width, const Split &split, int64_t quantised,
                               int64_t paired) {
    const int64_t own = split.units ? rows : (rows + split.slices - 1) / split.slices;
    const int64_t words = own * (pass.array_count + 1) + 2 * pass.array_count + pass.sum_count + 2 * most_rows + 64;
    int64_t outputs = 0, inputs = 0, totals = 0, operands = 0;
    for (int64_t k = 0; k < pass.stage_count; ++k) {
      operands = std::max(operands, pass.stages[k].product_count + (pass.stages[k].input_count > 0));
      outputs = std::max(outputs, pass.stages[k].output_count);
      inputs = std::max(inputs, pass.stages[k].input_count);
      totals = std::max(totals, pass.stages[k].sum_count);
    }
    const int64_t buffers = (outputs + inputs) * most_rows * width + totals * own * lanes<T>;
    const int64_t as_bytes = quantised ? bytes::Operands::size(operands, own, quantised) : 0;
    const int64_t in_pairs = bfloat16::Operands::size(operands, own, paired) * int64_t(sizeof(float));
    return round_up(words * 8 + buffers * int64_t(sizeof(T)) + as_bytes + in_pairs, 64);
  }

  Share(const Job<T> &job, int64_t begin, int64_t end, int64_t slices, Barrier &barrier, std::byte *scratch)
      : job(job), barrier(barrier), begin(begin), weight(end - begin), slices(slices), group(job.width()),
        reuses_operands(has_reused_operands(job)), range{range_of(job.hidden), range_of(job.projection)} {
    product_buffer = reinterpret_cast<T *>(scratch); // first: it is the part that must be aligned
    input_buffer = product_buffer + outputs_of(job) * most_rows * group;
    total_buffer = input_buffer + inputs_of(job) * most_rows * group;
    for (int64_t r = 0; r < job.rows; ++r) row_count += has(r, end);
    auto *words = reinterpret_cast<int64_t *>(total_buffer + totals_of(job) * row_count * lanes<T>);
    rows = words;
    for (int64_t r = 0, n = 0; r < job.rows; ++r)
      if (has(r, end)) rows[n++] = r;
    words += row_count;
    pointers = reinterpret_cast<T **>(words);
    words += job.array_count * row_count;
    row_of = reinterpret_cast<T *const **>(words);
    words += job.array_count;
    shifted = reinterpret_cast<const T **>(words);
    words += most_rows;
    input_rows = reinterpret_cast<T **>(words);
    words += most_rows;
    sums = reinterpret_cast<T **>(words);
    for (int64_t k = 0; k < job.sum_count; ++k) sums[k] = job.sums + (begin * job.sum_count + k) * job.hidden;
    words += job.sum_count;
    if (job.quantised) as_bytes = {reinterpret_cast<std::byte *>(words), operands_of(job), row_count, job.quantised};
    if (job.paired) as_pairs = {reinterpret_cast<float *>(words), row_count, job.paired};
  }

  void run() {
    fill_masks(0, row_count, false);
    if (job.backward)
      for (int64_t s = job.end - 1; s >= job.begin; --s) step(s);
    else
      for (int64_t s = job.begin; s < job.end; ++s) step(s);
    for (int64_t f = 0; f < job.final_count; ++f) {
      const Final<T> &one = job.finals[f];
      const auto [first, last] = units_in(one.narrow, one.width);
      for (int64_t r = 0; r < row_count && first < last; ++r) {
        if (!one.to || !ends_here(rows[r])) continue;
        const T *from = place(job.arrays[one.array], job.backward ? -1 : job.length_of(rows[r]), rows[r]);
        std::copy(from + first, from + last, one.to + job.caller_of(rows[r]) * one.width + first);
      }
    }
  }

private:
  const Job<T> &job;
  Barrier &barrier;
  int64_t begin, weight, slices, group;
  bool reuses_operands;
  struct Range {
    int64_t first, last;
  };
  Range range[2]; // the groups of H units, and of P, that are this participant's
  int64_t row_count = 0;
  T *product_buffer; // [output][most_rows][group]
  T *input_buffer;   // [row][value][group]
  T *total_buffer;   // [row][sum][lanes]
  int64_t *rows;     // the rows of the partition
  T **pointers;      // [array][row]
  T *const **row_of;
  const T **shifted;
  T **input_rows;
  T **sums;
  bytes::Operands as_bytes;    // of a stage: those of its products in turn, then x
  bfloat16::Operands as_pairs; // likewise

  static int64_t operands_of(const Job<T> &job) {
    int64_t most = 0;
    for (int64_t k = 0; k < job.stage_count; ++k)
      most = std::max(most, job.stages[k].product_count + (job.stages[k].input_count > 0));
    return most;
  }
  static int64_t outputs_of(const Job<T> &job) {
    int64_t most = 0;
    for (int64_t k = 0; k < job.stage_count; ++k) most = std::max(most, job.stages[k].output_count);
    return most;
  }
  static int64_t inputs_of(const Job<T> &job) {
    int64_t most = 0;
    for (int64_t k = 0; job.input_depth && k < job.stage_count; ++k) most = std::max(most, job.stages[k].input_count);
    return most;
  }

  static int64_t totals_of(const Job<T> &job) {
    int64_t most = 0;
    for (int64_t k = 0; k < job.stage_count; ++k) most = std::max(most, job.stages[k].sum_count);
    return most;
  }
  // Whether the partition up to slice `end` has a row.
  bool has(int64_t r, int64_t end) const { return job.split_units || (r % slices >= begin && r % slices < end); }

  // Whether a product reads rows that later steps write anew. Then work before the first product may not begin a step
  // while others still multiply in the last.
  static bool has_reused_operands(const Job<T> &job) {
    for (int64_t k = 0; k < job.stage_count; ++k)
      for (int64_t p = 0; p < job.stages[k].product_count; ++p) {
        const ArrayKind kind = job.arrays[job.stages[k].products[p].operand].kind;
        if (kind == per_row || kind == alternating || kind == alternating_previous || kind == gradient_arriving)
          return true;
      }
    return false;
  }

  T *place(const Array<T> &array, int64_t s, int64_t r) const {
    T *const zeros = const_cast<T *>(job.zeros);
    switch (array.kind) {
    case sequence: return array.base + (job.place_of(s) + r - array.origin) * array.stride;
    case caller_rows: return caller_row(array, s, r);
    case per_row: return array.base + r * array.stride;
    case alternating: return array.base + (s % 2 * job.rows + r) * array.stride;
    case sequence_previous:
    case caller_rows_previous:
    case alternating_previous:
      if (job.cut_before(s, r)) return zeros;
      if (s == array.first || s == 0) return array.other + job.caller_of(r) * array.other_stride;
      if (array.kind == sequence_previous) return array.base + (job.place_of(s - 1) + r - array.origin) * array.stride;
      if (array.kind == caller_rows_previous) return caller_row(array, s - 1, r);
      return array.base + ((s - 1) % 2 * job.rows + r) * array.stride;
    case gradient_arriving:
      if (job.cut_before(s + 1, r)) return zeros;
      return s + 1 == job.length_of(r) ? array.other + job.caller_of(r) * array.other_stride
                                       : array.base + r * array.stride;
    case absent: return nullptr;
    }
    return nullptr;
  }
  T *caller_row(const Array<T> &array, int64_t s, int64_t r) const {
    return array.base + job.time_of(s, r) * array.step_stride + job.caller_of(r) * array.stride;
  }

  // Whether a row's final state, or backward the gradient of its initial state, is computed by these steps.
  bool ends_here(int64_t r) const {
    if (job.backward) return job.begin == 0;
    const int64_t length = job.length_of(r);
    return length == 0 ? job.begin == 0 : length > job.begin && length <= job.end;
  }

  void step(int64_t s) {
    const int64_t active = std::lower_bound(rows, rows + row_count, job.active_at(s)) - rows;
    for (int64_t a = 0; a < job.array_count; ++a)
      for (int64_t r = 0; r < active; ++r) pointers[a * row_count + r] = place(job.arrays[a], s, rows[r]);
    fill_masks(s, active, true);
    add_sequence_gradients(s, active);
    for (int64_t k = 0; k < job.stage_count; ++k) {
      const Stage<T> &stage = job.stages[k];
      if (stage.whole_rows) {
        k = work_on_rows(k, active) - 1;
        continue;
      }
      clear_totals(stage, 0, active);
      if (job.split_units && (stage.product_count || (reuses_operands && stage.work))) barrier.arrive(weight);
      if (!stage.work) continue;
      round_operands(stage, active);
      int64_t most = most_rows;
      if (multiplies_input(stage)) most = std::min<int64_t>(most, rows_for(int(stage.input_count * job.blocks)));
      for (int64_t p = 0; p < stage.product_count; ++p)
        most = std::min<int64_t>(most, rows_for(int(stage.products[p].outputs * job.blocks)));
      const int64_t tiles_of_rows = (active + most - 1) / most;
      // In turns from either end: weights that a cache does not hold whole are then read from it but for a part. Sums
      // over units are added in one order.
      const bool from_last = (s % 2 != 0) != job.from_last && !stage.sum_count;
      const Range &own = range[stage.narrow];
      for (int64_t i = own.first; i < own.last; ++i)
        for (int64_t t = 0; t < tiles_of_rows; ++t)
          block(stage, from_last ? own.first + own.last - 1 - i : i, active * t / tiles_of_rows,
                active * (t + 1) / tiles_of_rows);
      complete_totals(stage, 0, active);
    }
    if (job.norms) measure(s, active);
  }

  // The stages from `k` on that take whole rows, one after the other for a few rows at a time; returns the first other.
  int64_t work_on_rows(int64_t k, int64_t active) {
    int64_t end = k;
    while (end < job.stage_count && job.stages[end].whole_rows) ++end;
    const int64_t tiles_of_rows = (active + most_rows - 1) / most_rows;
    for (int64_t t = 0; t < tiles_of_rows; ++t) {
      const int64_t first = active * t / tiles_of_rows, last = active * (t + 1) / tiles_of_rows;
      for (int64_t a = 0; a < job.array_count; ++a) row_of[a] = pointers + a * row_count + first;
      for (int64_t j = k; j < end; ++j) {
        const Stage<T> &stage = job.stages[j];
        clear_totals(stage, first, last);
        stage.work({row_of, job.vectors, sums, nullptr, last - first, 0, stage.units, 0, stage.units, job.hidden,
                    totals_from(stage, first)});
        complete_totals(stage, first, last);
      }
    }
    return end;
  }

  T *totals_from(const Stage<T> &stage, int64_t row) const { return total_buffer + row * stage.sum_count * lanes<T>; }
  void clear_totals(const Stage<T> &stage, int64_t first, int64_t last) const {
    std::fill(totals_from(stage, first), totals_from(stage, last), T(0));
  }
  void complete_totals(const Stage<T> &stage, int64_t first, int64_t last) const {
    for (int64_t r = first; r < last && stage.sum_count; ++r)
      for (int64_t k = 0; k < stage.sum_count; ++k)
        pointers[job.row_values * row_count + r][stage.first_sum + k] =
            sum_of_lanes<T>(load<true>(totals_from(stage, r) + k * lanes<T>, 0));
  }

  // The masks that change with every step, or the others.
  void fill_masks(int64_t s, int64_t count, bool each_step) {
    for (int64_t k = 0; k < job.mask_count; ++k) {
      const MaskJob<T> &mask = job.masks[k];
      if ((mask.each_step && mask.threshold) != each_step) continue;
      const auto [first, last] = units_in(mask.narrow, mask.width);
      for (int64_t r = 0; r < count && first < last; ++r) {
        const int64_t step = each_step ? job.mask_step + job.time_of(s, rows[r]) : 0;
        fill_mask(mask.key, uint32_t(step), uint32_t(job.caller_of(rows[r])), mask.threshold, mask.kept, first, last,
                  mask.values + rows[r] * mask.width);
      }
    }
  }

  // Added where what arrives is carried: nothing reads that after this step.
  void add_sequence_gradients(int64_t s, int64_t active) {
    for (int64_t k = 0; k < job.sequence_gradient_count; ++k) {
      const SequenceGradient<T> &upstream = job.sequence_gradients[k];
      const auto [first, last] = units_in(upstream.narrow, upstream.width);
      const Array<T> &carried = job.arrays[upstream.array];
      for (int64_t r = 0; r < active; ++r) {
        T *&arriving = pointers[upstream.array * row_count + r];
        T *const to = carried.base + rows[r] * carried.stride;
        const T *const from = arriving, *const added = caller_row(upstream.rows, s, rows[r]);
        for (int64_t u = first; u < last; ++u) to[u] = from[u] + added[u];
        arriving = to;
      }
    }
  }

  int64_t groups(int64_t units) const { return (units + group - 1) / group; }
  int64_t first_group_of(int64_t slice, int64_t units) const {
    return job.split_units ? groups(units) * slice / slices : 0;
  }
  Range range_of(int64_t units) const {
    return {first_group_of(begin, units), job.split_units ? first_group_of(begin + weight, units) : groups(units)};
  }
  // The units of a row of this width that are this participant's; none where both are the same.
  Range units_in(bool narrow, int64_t width) const {
    const Range &own = range[narrow];
    return {own.first * group, std::min(own.last * group, width)};
  }

  // Norms of the values just written, while they are in the first cache; slice by slice.
  void measure(int64_t s, int64_t active) {
    for (int64_t k = 0; k < job.measured_count; ++k)
      for (int64_t r = 0; r < active; ++r) measure(job.measured[k], s, r);
  }

  void measure(const ObservedStates &of, int64_t s, int64_t r) {
    const T *const row = pointers[of.array * row_count + r];
    if (!job.split_units) {
      double *const to =
          job.norms + (job.time_of(s, rows[r]) * job.rows + job.caller_of(rows[r])) * job.state_count + of.first;
      for (int64_t b = 0; b < of.count; ++b) to[b] = std::sqrt(sum_of_squares(row + b * of.width, of.width));
      return;
    }
    for (int64_t slice = begin; slice < begin + weight; ++slice) {
      const int64_t first = std::min(first_group_of(slice, of.width) * group, of.width);
      const int64_t units = std::min(first_group_of(slice + 1, of.width) * group, of.width) - first;
      const int64_t at = slice * job.norm_places + job.place_of(s) + rows[r] - job.norm_origin;
      double *const to = job.norms + at * job.state_count + of.first;
      for (int64_t b = 0; b < of.count; ++b) to[b] = sum_of_squares(row + b * of.width + first, units);
    }
  }

  int64_t units_of(const Stage<T> &stage, int64_t g) const { return std::min(group, stage.units - g * group); }
  bool multiplies_input(const Stage<T> &stage) const { return job.input_depth && stage.input_count; }
  // Whether a product has these packed bytes; in exports a constant.
  static bool in_bytes(const std::byte *packed) { return bytes::available && (bytes::always || packed); }
  bool in_pairs() const { return bfloat16::available<T> && job.paired; }

  // All rows of a stage's operands to bytes or pairs, before its products read them.
  void round_operands(const Stage<T> &stage, int64_t active) const {
    if constexpr (sizeof(T) == sizeof(float)) {
      for (int64_t p = 0; p < stage.product_count; ++p) {
        const Product<T> &product = stage.products[p];
        for (int64_t r = 0; (in_bytes(product.bytes) || in_pairs()) && r < active; ++r) {
          const T *const from = pointers[product.operand * row_count + r] + product.offset;
          if (in_pairs()) as_pairs.fill(p, r, from, product.depth_blocks, product.depth);
          else as_bytes.fill(p, r, from, product.depth);
        }
      }
      for (int64_t r = 0; multiplies_input(stage) && (in_bytes(stage.input_bytes) || in_pairs()) && r < active; ++r) {
        const T *const from = pointers[job.input * row_count + r];
        if (in_pairs()) as_pairs.fill(stage.product_count, r, from, 1, job.input_depth);
        else as_bytes.fill(stage.product_count, r, from, job.input_depth);
      }
    }
  }
  // The rows [first, first + count) of an operand in pairs, from one of them on.
  const T *const *paired_rows(int64_t operand, int64_t first, int64_t count, int64_t pair) const {
    if constexpr (bfloat16::available<T>)
      for (int64_t r = 0; r < count; ++r) shifted[r] = as_pairs.at(operand, first + r) + pair;
    return shifted;
  }
  void multiply_bytes(const Stage<T> &stage, const std::byte *packed, int64_t operand, int64_t g, int64_t first,
                      int64_t count, int64_t depth, Band band, int64_t outputs, T *out, const T *start,
                      int64_t start_stride) const {
    if constexpr (sizeof(T) == sizeof(float)) {
      const int64_t width = outputs * group;
      const bytes::Packed all(const_cast<std::byte *>(packed), groups(stage.units), depth, width);
      as_bytes.multiply(operand, first, count, band, outputs * job.blocks, all.strip(g), out, width, start,
                        start_stride);
    }
  }

  // The input projections of one block, laid out for the work like rows of the array.
  void input_products(const Stage<T> &stage, int64_t g, int64_t first, int64_t count) {
    const int64_t width = stage.input_count * group;
    if (in_bytes(stage.input_bytes))
      multiply_bytes(stage, stage.input_bytes, stage.product_count, g, first, count, job.input_depth,
                     {0, job.input_depth}, stage.input_count, input_buffer, stage.input_start + g * width, 0);
    else if (stage.input_packed) {
      const bool paired = in_pairs();
      const int64_t depth = paired ? bfloat16::pairs(job.input_depth) : job.input_depth;
      const T *const *const rows = paired ? paired_rows(stage.product_count, first, count, 0) : row_of[job.input];
      tile_of<T>(paired, stage.input_count * job.blocks,
                 count)(rows, depth, stage.input_packed + g * depth * width, input_buffer, width,
                        stage.input_start ? stage.input_start + g * width : nullptr, 0);
    } else
      for (int64_t i = 0; i < stage.input_count; ++i) {
        const T *const vector = stage.input_vectors[i];
        for (int64_t r = 0; r < count; ++r)
          dots(stage.input_blocks[i] + g * group * job.input_depth, row_of[job.input][r], job.input_depth,
               units_of(stage, g), vector ? vector + g * group : nullptr, input_buffer + r * width + i * group);
      }
    for (int64_t r = 0; r < count; ++r) input_rows[r] = input_buffer + r * width - (stage.input_first + g) * group;
    row_of[job.input] = input_rows;
  }

  // Where a product divides matrices into heads.
  Bands bands_of(const Stage<T> &stage, const Product<T> &product) const {
    return {product.head, stage.units, group, in_bytes(product.bytes) ? bytes::quad : in_pairs() ? 2 : 1};
  }
  // What a strip reads of the depth of a block.
  Band band_of(const Stage<T> &stage, const Product<T> &product, int64_t g) const {
    return product.head ? bands_of(stage, product).of(g) : Band{0, product.depth};
  }
  // The rows of an operand, from a unit on.
  const T *const *operand_of(const Product<T> &product, int64_t unit, int64_t count) const {
    const T *const *operand = row_of[product.operand];
    if (product.offset + unit == 0) return operand;
    for (int64_t r = 0; r < count; ++r) shifted[r] = operand[r] + product.offset + unit;
    return shifted;
  }

  // All blocks of the depth at once, or where they are divided into heads one after the other.
  void multiply_packed(const Stage<T> &stage, int64_t p, int64_t g, int64_t first, int64_t count, T *out) const {
    const Product<T> &product = stage.products[p];
    const bool paired = in_pairs();
    const auto packed_depth = [&](int64_t depth) { return paired ? bfloat16::pairs(depth) : depth; };
    const int64_t width = product.outputs * group, parts = product.head ? product.depth_blocks : 1;
    const int64_t blocks = product.depth_blocks / parts, each = blocks * packed_depth(product.depth);
    const int64_t most = blocks * packed_depth(product.widest);
    const Band band = band_of(stage, product, g);
    for (int64_t b = 0; b < parts; ++b) {
      const T *const *const rows = paired ? paired_rows(p, first, count, b * each + band.first / 2)
                                          : operand_of(product, b * each + band.first, count);
      tile_of<T>(paired, product.outputs * job.blocks, count)(rows, blocks * packed_depth(band.depth),
                                                              product.packed + (g * parts + b) * most * width, out,
                                                              width, product.add || b ? out : nullptr, width);
    }
  }
  void multiply_in_place(const Stage<T> &stage, const Product<T> &product, int64_t g, int64_t count, T *out) const {
    const T *const *operand = operand_of(product, 0, count);
    const int64_t head = product.head, columns = head ? head : product.depth;
    const int64_t begin = g * group, end = begin + units_of(stage, g);
    for (int64_t o = 0; o < product.outputs; ++o)
      for (int64_t r = 0; r < count; ++r)
        for (int64_t from = begin, to; from < end; from = to) {
          const int64_t unit = head ? from / head * head : 0;
          to = head ? std::min(unit + head, end) : end;
          dots(product.blocks[o] + from * columns, operand[r] + unit, columns, to - from,
               static_cast<const T *>(nullptr), out + (r * product.outputs + o) * group + from - begin);
        }
  }

  void block(const Stage<T> &stage, int64_t g, int64_t first, int64_t last) {
    for (int64_t a = 0; a < job.array_count; ++a) row_of[a] = pointers + a * row_count + first;
    const int64_t count = last - first;
    if (multiplies_input(stage)) input_products(stage, g, first, count);
    for (int64_t p = 0; p < stage.product_count; ++p) {
      const Product<T> &product = stage.products[p];
      const int64_t width = product.outputs * group;
      T *const out = product_buffer + product.first_output * most_rows * group;
      if (in_bytes(product.bytes))
        multiply_bytes(stage, product.bytes, p, g, first, count, product.widest, band_of(stage, product, g),
                       product.outputs, out, product.add ? out : nullptr, width);
      else if (product.packed) multiply_packed(stage, p, g, first, count, out);
      else multiply_in_place(stage, product, g, count, out);
    }
    stage.work({row_of, job.vectors, sums, product_buffer, count, g * group, units_of(stage, g), group, stage.units,
                job.input_depth ? group : job.hidden, totals_from(stage, first)});
  }
};

} // namespace gatewise
