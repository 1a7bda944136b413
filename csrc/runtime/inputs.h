// What the network reads of a step besides numbers: scaled values, and the vectors of tokens.
#pragma once

#include "runtime/weights_file.h"

#include <algorithm>

namespace gatewise {

// A tensor of the file of weights; null for none.
template <class T> const T *tensor_in(const void *file, int64_t number) {
  return number < 0 ? nullptr : static_cast<const T *>(tensor_of(file, number));
}

// Values of a step, that of a series first; and what is known of a step to come.
inline int64_t value_count() { return description.values + (description.forecast ? 1 : 0); }
inline int64_t known_count() {
  const bool reads_numbers = description.forecast && description.forecast->paths;
  return description.values + description.embedding_count + (reads_numbers ? description.numbers : 0);
}

// The values and tokens of a step as the network reads them; returns what follows them.
template <class T> T *read_known(const void *file, const double *given, const int64_t *tokens, T *to) {
  for (int64_t k = 0; k < description.values; ++k) {
    const ScalingInfo &scaling = description.scaling[k];
    const bool missing = given[k] != given[k];
    to[k] = missing ? T(0) : T(float((given[k] - scaling.mean) / scaling.divisor));
    if (scaling.flag >= 0) to[description.values + scaling.flag] = missing;
  }
  to += description.values + description.flags;
  for (int64_t k = 0; k < description.embedding_count; ++k) {
    const int64_t table = description.embeddings[k].tensor, size = description.tensors[table].columns;
    to = std::copy_n(tensor_in<T>(file, table) + tokens[k] * size, size, to);
  }
  return to;
}
// The same of a step to come, whose tokens are numbers among its values.
template <class T> T *read_to_come(const void *file, const double *given, int64_t *tokens, T *to) {
  for (int64_t k = 0; k < description.embedding_count; ++k) tokens[k] = int64_t(given[description.values + k]);
  return read_known(file, given, tokens, to);
}

} // namespace gatewise
