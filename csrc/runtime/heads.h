// What is computed of the outputs of recurrent layers: merged directions, pools, linear maps, the best classes.
#pragma once

#include "dot.h"
#include "gemm.h"
#include "runtime/recurrence.h"

#include <cmath>

namespace gatewise {

inline constexpr int64_t columns_at_once = 256;

// Elements of scratch for linear maps from this width.
template <class T> int64_t linear_scratch(int64_t rows, int64_t depth) {
  Gemm<T> g{};
  g.rows = rows, g.depth = depth, g.columns = columns_at_once;
  return gemm_scratch(g);
}

// to (N, columns) = from (N, depth) · Wᵀ + b; b may be null.
template <class T>
void linear(const T *weight, const T *bias, int64_t rows, int64_t depth, int64_t columns, const T *from, T *to,
            T *scratch) {
  if (rows <= 2) { // packing would cost more than it saves
    for (int64_t r = 0; r < rows; ++r) dots(weight, from + r * depth, depth, columns, bias, to + r * columns);
    return;
  }
  for (int64_t first = 0; first < columns; first += columns_at_once) {
    Gemm<T> g{};
    g.a = from, g.a_stride = depth, g.b = weight + first * depth, g.b_stride = depth, g.b_transposed = 1;
    g.c = to + first, g.c_stride = columns, g.rows = rows, g.depth = depth;
    g.columns = std::min(columns_at_once, columns - first);
    g.bias = bias ? bias + first : nullptr;
    gemm(g, part_of(g, 0, 1, 1), scratch);
  }
}

// Both directions of N rows, (N, 2·H) to (N, H), H the width of the output.
template <class T>
void merge(const RecurrentInfo &layer, int64_t rows, const T *from, const T *weight, const T *bias, T *to, T *scratch) {
  const int64_t hidden = output_width(layer);
  if (layer.merge == merge_learned) return linear(weight, bias, rows, 2 * hidden, hidden, from, to, scratch);
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t u = 0; u < hidden; ++u) {
      const T a = from[2 * r * hidden + u], b = from[(2 * r + 1) * hidden + u];
      to[r * hidden + u] = layer.merge == merge_mul ? a * b : layer.merge == merge_sum ? a + b : (a + b) / 2;
    }
}

// (T, B, width) to (B, width); `weights`: (T, B) for a weighted sum, else null.
template <class T>
void pool_steps(Pool kind, int64_t steps, int64_t rows, int64_t width, const int64_t *lengths, const T *from,
                const T *weights, T *to) {
  for (int64_t b = 0; b < rows; ++b) {
    const int64_t length = lengths ? lengths[b] : steps;
    T *const target = to + b * width;
    std::fill_n(target, width, T(0));
    for (int64_t t = 0; t < length; ++t) {
      const T *const row = from + (t * rows + b) * width;
      for (int64_t u = 0; u < width; ++u)
        if (kind == pool_max) target[u] = t && !(row[u] > target[u]) && row[u] == row[u] ? target[u] : row[u];
        else target[u] += weights ? weights[t * rows + b] * row[u] : row[u];
    }
    for (int64_t u = 0; kind == pool_mean && length && u < width; ++u) target[u] /= T(length);
  }
}

// One row of scores to probabilities; a stride apart.
template <class T> void softmax(const T *scores, int64_t count, int64_t stride, T *to) {
  T highest = scores[0], total = 0;
  for (int64_t k = 1; k < count; ++k) highest = std::max(highest, scores[k * stride]);
  for (int64_t k = 0; k < count; ++k) total += to[k * stride] = std::exp(scores[k * stride] - highest);
  for (int64_t k = 0; k < count; ++k) to[k * stride] /= total;
}

template <class T> int64_t best_of(const T *scores, int64_t count) {
  return std::max_element(scores, scores + count) - scores;
}

// The most probable tags of scores (T, K) of one row, a stride apart, with transitions (K + 1, K + 1): of tag after
// tag; the last row of beginning, the last column of ending (Viterbi). best: (2, K); origins: (T, K).
template <class T>
void viterbi(const T *scores, int64_t stride, int64_t steps, int64_t count, const T *transitions, T *best,
             int32_t *origins, int64_t *tags, int64_t tag_stride) {
  if (!steps) return;
  const int64_t width = count + 1;
  for (int64_t k = 0; k < count; ++k) best[k] = transitions[count * width + k] + scores[k];
  T *before = best, *now = best + count;
  for (int64_t t = 1; t < steps; ++t, std::swap(before, now))
    for (int64_t k = 0; k < count; ++k) {
      int32_t origin = 0;
      T highest = before[0] + transitions[k];
      for (int64_t i = 1; i < count; ++i) {
        const T value = before[i] + transitions[i * width + k];
        if (value > highest) highest = value, origin = int32_t(i);
      }
      now[k] = highest + scores[t * stride + k];
      origins[t * count + k] = origin;
    }
  for (int64_t k = 0; k < count; ++k) before[k] += transitions[k * width + count];
  int64_t tag = best_of(before, count);
  for (int64_t t = steps - 1;; --t) {
    tags[t * tag_stride] = tag;
    if (!t) break;
    tag = origins[t * count + tag];
  }
}

} // namespace gatewise
