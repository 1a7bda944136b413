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
  int64_t input, hidden, directions, reverse;
  int64_t first_tensor; // of (D, groups)
  const gatewise_mask *masks;
  Merge merge;
  int64_t merge_weight, merge_bias; // tensors, −1: none
};

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

struct TensorInfo {
  int64_t rows, columns;
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
  int64_t attention;      // the first of the tensors W, b, v of pool_attention
  int64_t read_out, bias; // tensors, −1: none
  int64_t transitions;    // likewise, (K + 1, K + 1)
  int64_t outputs, state; // numbers of a step or sequence, of the state of a row
};

} // namespace gatewise
