// A model as constants that the exporter emits, beside the programs of its cells.
//
// It is a row of parts, each of which may be missing: embeddings, recurrent layers, a pool over steps, a linear
// read-out, and the transitions between tags.
#pragma once

#include "api.h"
#include "program.h"

namespace gatewise {

inline constexpr int64_t most_states = 16, most_parameters = 128; // of a layer; the exporter holds to it

enum Merge : int64_t { merge_concat, merge_sum, merge_mean, merge_mul, merge_learned };

// One recurrent layer, in one direction or both.
struct RecurrentInfo {
  const Program *program;
  int64_t input, hidden, projection; // projection: P; 0 if no state has this width
  int64_t heads, directions, reverse;
  int64_t first_tensor; // of (D, groups)
  int64_t first_scale;  // of the scales of those of these that are 8-bit integers, in their order; −1: none are
  const gatewise_mask *masks;
  Merge merge;
  int64_t merge_weight, merge_bias; // tensors, −1: none
};

inline int64_t width_of_state(const RecurrentInfo &layer, int64_t state) {
  return layer.program->states[state] == size_projection ? layer.projection : layer.hidden;
}
// The numbers of the states [0, end) of a row, in all directions.
inline int64_t size_of_states(const RecurrentInfo &layer, int64_t end) {
  int64_t size = 0;
  for (int64_t s = 0; s < end; ++s) size += layer.directions * width_of_state(layer, s);
  return size;
}
// Of the output, in one direction and in all of them.
inline int64_t output_width(const RecurrentInfo &layer) { return width_of_state(layer, 0); }
inline int64_t outputs_width(const RecurrentInfo &layer) { return layer.directions * output_width(layer); }

// The vector of a token: row `token` of a tensor.
struct EmbeddingInfo {
  int64_t tensor;
};

// Values of the data: (value − mean) / divisor, 0 where it is missing. `flag`: the number that says whether it is;
// −1: none.
struct ScalingInfo {
  double mean, divisor;
  int64_t flag;
};

enum Pool : int64_t { pool_none, pool_last, pool_mean, pool_max, pool_attention };

// A forecast of K steps of a series, which is the first of the values; the others are covariates. What is known of the
// steps to come: covariates and tokens, of each step; and the numbers, where steps are forecast one after the other,
// each from a value that was drawn for the one before, along several paths.
enum ForecastKind : int64_t { forecast_point, forecast_quantile, forecast_gaussian };
struct ForecastInfo {
  ForecastKind kind;
  int64_t window, season, horizon, outputs,
      located;            // W, steps of a season, K, Q, and how many of Q move with the level
  int64_t ahead, paths;   // steps that the network forecasts at once, K or 1; paths, 0: none
  int64_t noise;          // tensor (P / 2 + 1, K) of half of the paths, of which the others have the negative; −1: none
  int64_t levels, middle; // L, and which of them is the median
  const double *levels_at; // (L)
  const double *steps;     // (L) quantiles of a standard normal distribution, or null
  const double *moves;     // (K, L) of calibrated quantiles, or null
  int64_t blend;           // tensor (R, K): the weights of the references
  int64_t future;          // the first of the tensors W, b of the state, W of what is known, W of both; −1: none
};

struct TensorInfo {
  int64_t rows, columns, bytes; // of an element: those of a number, or 1 of 8-bit integers
};

struct Description {
  uint64_t layout; // a digest of all that follows
  const TensorInfo *tensors;
  int64_t tensor_count;
  const ScalingInfo *scaling;
  int64_t values, flags; // values of a step that are scaled, and flags of those that may be missing
  int64_t numbers;       // of a step that are read as they are
  const EmbeddingInfo *embeddings;
  int64_t embedding_count;
  const RecurrentInfo *layers;
  int64_t layer_count;
  int64_t whole;          // whether every call is of whole sequences
  int64_t masks, repeats; // whether steps can be skipped, and the output repeats the state there
  Pool pool;
  int64_t attention;            // the first of the tensors W, b, v of pool_attention
  int64_t read_out, bias;       // tensors, −1: none
  int64_t transitions;          // likewise, (K + 1, K + 1)
  int64_t outputs, state;       // numbers of a step or sequence, of the state of a row
  const ForecastInfo *forecast; // or null
};

} // namespace gatewise
