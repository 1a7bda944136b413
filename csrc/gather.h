// Rows between the caller's order, (T, B, width) with strides, and that of the sequence arrays.
#pragma once

#include "call.h"

namespace gatewise {

// The rows of x for all places of some steps: copied to `to`, or where they are when that is null.
template <class T>
const T *gather_rows(const Layer<T> &layer, const RowOrder &order, bool reverse, int64_t begin, int64_t end, T *to) {
  const gatewise_sequence &x = layer.x;
  const T *const from = static_cast<const T *>(x.data);
  if (!to) return from + order.first_place(begin, end, reverse) * x.row_stride;
  order.each(begin, end, reverse, [&](int64_t place, int64_t time, int64_t row) {
    std::copy_n(from + time * x.step_stride + row * x.row_stride, layer.input, to + place * layer.input);
  });
  return to;
}

// Writes rows of all places of some steps to a sequence of the caller's, or adds them.
template <class T>
void scatter_rows(const T *from, const RowOrder &order, bool reverse, int64_t begin, int64_t end, int64_t width,
                  bool add, const gatewise_sequence &to) {
  order.each(begin, end, reverse, [&](int64_t place, int64_t time, int64_t row) {
    T *const target = static_cast<T *>(to.data) + time * to.step_stride + row * to.row_stride;
    const T *const source = from + place * width;
    if (!add) std::copy_n(source, width, target);
    else
      for (int64_t i = 0; i < width; ++i) target[i] += source[i];
  });
}

template <class T> void clear_padding(const RowOrder &order, int64_t width, const gatewise_sequence &to) {
  order.each_padding([&](int64_t time, int64_t row) {
    std::fill_n(static_cast<T *>(to.data) + time * to.step_stride + row * to.row_stride, width, T(0));
  });
}

template <class T> void clear(int64_t steps, int64_t rows, int64_t width, const gatewise_sequence &to) {
  for (int64_t t = 0; t < steps; ++t)
    for (int64_t b = 0; b < rows; ++b)
      std::fill_n(static_cast<T *>(to.data) + t * to.step_stride + b * to.row_stride, width, T(0));
}

} // namespace gatewise
