// A call of the engine, one layer of it: shapes, buffers by name, threads and clocks.
#pragma once

#include "api.h"
#include "bytes.h"
#include "gemm.h"
#include "masks.h"
#include "order.h"
#include "pack.h"
#include "program.h"
#include "team.h"
#include "tuning.h"

#include <chrono>

namespace gatewise {

// Adds the time of its lifetime to a phase.
class Clock {
public:
  Clock(double *seconds, gatewise_phase phase) : to(seconds ? seconds + phase : nullptr) {
    if (to) begin = std::chrono::steady_clock::now();
  }
  ~Clock() {
    if (to) *to += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  }
  Clock(const Clock &) = delete;
  Clock &operator=(const Clock &) = delete;

private:
  double *to;
  std::chrono::steady_clock::time_point begin;
};

// One layer of a call.
template <class T> struct Layer {
  const Program &program;
  int64_t steps, rows, input, hidden, directions, states, groups;
  int64_t projection;       // at most `hidden`; 0 if the program has none
  int64_t heads;            // 1 if the program has no matrices that are divided
  bool reverse;             // with one direction: whether it reads from the end
  bool resets;              // whether a state may be reset
  int64_t threads, workers; // partitions, and how many may run at once
  bool share_small;         // regardless of size
  int64_t precision;        // of its products; see `gatewise_call`
  gatewise_pool pool;
  double *seconds;
  gatewise_team *team;
  gatewise_sequence x, output;          // output: (T, B, D·H)
  const gatewise_state *states_of;      // (S)
  int64_t first_state;                  // the row of (L·D, B, H) of the first direction
  const gatewise_parameter *parameters; // (D, groups)
  const gatewise_mask *masks;           // those of the program
  uint64_t mask_seed;
  int64_t mask_stream, mask_step; // of the first direction, of the first step

  bool in_bytes() const { return bytes::available && (bytes::always || precision == 8); }
  bool in_pairs() const { return bfloat16::available<T> && precision == 16; }
  bool reads_backward(int64_t d) const { return directions == 2 ? d == 1 : reverse; }
  int64_t size(int64_t of) const {
    return of == size_hidden ? hidden : of == size_projection ? projection : of == size_input ? input : 1;
  }
  int64_t state_width(int64_t state) const { return size(program.states[state]); }
  int64_t output_width() const { return state_width(0); }
  // Of the states [from, to) side by side.
  int64_t width_of_states(int64_t from, int64_t to) const {
    int64_t width = 0;
    for (int64_t s = from; s < to; ++s) width += state_width(s);
    return width;
  }
  int64_t width_of_states() const { return width_of_states(0, states); }
  T *initial(int64_t d, int64_t state) const { return state_row(states_of[state].initial, d, state); }
  T * final(int64_t d, int64_t state) const { return state_row(states_of[state].final, d, state); }
  T *state_row(const gatewise_dense &all, int64_t d, int64_t state) const {
    return all.data ? static_cast<T *>(all.data) + (first_state + d) * rows * state_width(state) : nullptr;
  }
  const gatewise_parameter &parameter(int64_t d, int64_t group) const { return parameters[d * groups + group]; }
  int64_t columns_of(int64_t group) const {
    const int64_t columns = program.groups[group].columns;
    return columns < 0 ? 1 : size(columns) / heads_of(group);
  }
  int64_t heads_of(int64_t group) const { return program.groups[group].divided ? heads : 1; }
  int64_t rows_of(int64_t group) const { return size(program.groups[group].rows); }
  int64_t block_size(int64_t group) const { return rows_of(group) * columns_of(group); }
  T *block(int64_t d, const BlockInfo &info) const {
    return static_cast<T *>(parameter(d, info.group).value.data) + info.gate * block_size(info.group);
  }
  // A row of a block of weights for products of bytes.
  bytes::Row row_of_block(int64_t d, const BlockInfo &info, int64_t row) const {
    const gatewise_parameter &own = parameter(d, info.group);
    const int64_t columns = columns_of(info.group), at = info.gate * rows_of(info.group) + row;
    if (!own.scales.data) return {static_cast<const float *>(own.value.data) + at * columns};
    return {nullptr, static_cast<const int8_t *>(own.value.data) + at * columns,
            static_cast<const float *>(own.scales.data)[at]};
  }
  T *gradient_block(int64_t d, const BlockInfo &info) const {
    T *const all = static_cast<T *>(parameter(d, info.group).gradient.data);
    return all ? all + info.gate * block_size(info.group) : nullptr;
  }
  // Whether (T, B) rows of a sequence are contiguous.
  static bool is_dense(const gatewise_sequence &sequence, int64_t rows) {
    return sequence.step_stride == rows * sequence.row_stride;
  }
};

// Weights that the products of a pass multiply by in each step, and the outputs of its widest one.
template <class T> int64_t weight_count(const Layer<T> &layer, const PassInfo &pass) {
  int64_t count = 0;
  for (int64_t k = 0; k < pass.stage_count; ++k)
    for (int64_t p = 0; p < pass.stages[k].product_count; ++p) {
      const ProductInfo &product = pass.products[pass.stages[k].first_product + p];
      count += product.block_count * layer.block_size(pass.blocks[product.first_block].group);
    }
  return count;
}
inline int64_t widest_product(const PassInfo &pass) {
  int64_t widest = 1;
  for (int64_t k = 0; k < pass.stage_count; ++k)
    for (int64_t p = 0; p < pass.stages[k].product_count; ++p) {
      const ProductInfo &product = pass.products[pass.stages[k].first_product + p];
      if (!product.transposed) widest = std::max(widest, product.block_count);
    }
  return widest;
}

// Pairs of the widest operand of a step, x included; 0 where products are not of pairs.
template <class T> int64_t widest_pairs(const Layer<T> &layer, const PassInfo &pass) {
  if (!layer.in_pairs()) return 0;
  int64_t widest = bfloat16::pairs(layer.input);
  for (int64_t k = 0; k < pass.stage_count; ++k)
    for (int64_t p = 0; p < pass.stages[k].product_count; ++p) {
      const ProductInfo &product = pass.products[pass.stages[k].first_product + p];
      const int64_t group = pass.blocks[product.first_block].group;
      const int64_t units = layer.columns_of(group) * layer.heads_of(group);
      widest = std::max(widest, product.transposed ? product.block_count * bfloat16::pairs(layer.rows_of(group))
                                                   : bfloat16::pairs(units));
    }
  return widest;
}

// The units of a head, where a pass has products that are divided into heads; else all.
template <class T> int64_t units_together(const Layer<T> &layer, const PassInfo &pass) {
  int64_t units = layer.hidden;
  for (int64_t k = 0; k < pass.stage_count; ++k)
    for (int64_t p = 0; p < pass.stages[k].product_count; ++p) {
      const int64_t group = pass.blocks[pass.products[pass.stages[k].first_product + p].first_block].group;
      units = std::min(units, layer.hidden / layer.heads_of(group));
    }
  return units;
}

// Whether a pass sums over units: then every thread takes whole rows.
inline bool has_sums(const PassInfo &pass) {
  for (int64_t k = 0; k < pass.stage_count; ++k)
    if (pass.stages[k].sum_count || pass.stages[k].kind == whole_rows) return true;
  return false;
}

struct Nothing {};

// Runs region.run(begin, end) for all of [0, slices), on a limited number of threads.
template <class Around = FlushDenormals, class Region>
void spread(Region &region, int64_t slices, int64_t workers, gatewise_pool pool) {
  const auto body = [](int64_t begin, int64_t end, void *context) {
    [[maybe_unused]] const Around around;
    static_cast<Region *>(context)->run(begin, end);
  };
  if (pool && slices > 1 && workers > 1) pool(0, slices, (slices + workers - 1) / workers, body, &region);
  else body(0, slices, &region);
}
template <class Around = FlushDenormals, class T, class Region>
void spread(Region &region, int64_t slices, const Layer<T> &layer) {
  if (!layer.team || slices == 1 || layer.workers == 1)
    return spread<Around>(region, slices, layer.workers, layer.pool);
  Measured<Region> measured(region, *layer.team);
  spread<Around>(measured, slices, layer.workers, layer.pool);
}

template <class T> struct SharedProduct {
  const Gemm<T> &g;
  int64_t slices;
  T *scratch;
  // Slice by slice: the number of rows in a tile determines the bits, which must not depend on the workers.
  void run(int64_t begin, int64_t end) {
    for (int64_t s = begin; s < end; ++s) gemm(g, part_of(g, s, s + 1, slices), scratch + s * gemm_scratch(g));
  }
};

// Elements of scratch for a product on `threads` threads.
template <class T> int64_t product_scratch(const Layer<T> &layer, int64_t rows, int64_t depth, int64_t columns) {
  Gemm<T> g{};
  g.rows = rows, g.columns = columns, g.depth = depth, g.a_transposed = 1;
  return gemm_scratch(g) * product_slices(rows, depth, columns, layer.threads, layer.share_small);
}
template <class T> void multiply(const Layer<T> &layer, const Gemm<T> &g, T *scratch) {
  const int64_t slices = product_slices(g.rows, g.depth, g.columns, layer.threads, layer.share_small);
  Gemm<T> own = g;
  own.paired = layer.in_pairs();
  SharedProduct<T> product{own, slices, scratch};
  spread(product, slices, layer);
}

} // namespace gatewise
