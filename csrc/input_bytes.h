// The products with x of all steps at once, in 8-bit integers: the same bits as step by step.
#pragma once

#include "bytes.h"
#include "call.h"

namespace gatewise::bytes {

// Of one direction of a layer. The columns are the units of its input projections, one after the other.
template <class T> class InputProducts {
public:
  static constexpr int registers = 4; // of a strip: few enough for several rows
  static constexpr int64_t width = registers * lanes<float>;

  // `rows`: the most that are multiplied in one run.
  InputProducts(const Layer<T> &layer, int64_t d, int64_t rows, Carver &weights, Carver &work)
      : layer(layer), d(d), columns(layer.program.input_count * layer.hidden), strips((columns + width - 1) / width),
        packed(weights.take<std::byte>(Packed::size(strips, layer.input, width))),
        bias(weights.take<T>(strips * width)), values(work.take<uint8_t>(rows * quads(layer.input) * quad)),
        scales(work.take<float>(rows)) {}

  // `vectors(i)`: (H), what is added to input projection i.
  template <class Vectors> void pack(const Vectors &vectors) const {
    if constexpr (sizeof(T) == sizeof(float))
      for (int64_t c = 0; c < strips * width; ++c) {
        const int64_t input = c / layer.hidden, unit = c % layer.hidden;
        const bool beyond = c >= columns || unit >= layer.rows_of(layer.program.inputs[input].block.group);
        bias[c] = beyond ? 0 : vectors(input)[unit];
        const Row row = beyond ? Row{} : layer.row_of_block(d, layer.program.inputs[input].block, unit);
        all().set(c / width, c % width, row, layer.input);
      }
  }

  // x (count, I), rows a stride apart, to `to` (count, columns).
  void multiply(const T *x, int64_t stride, int64_t count, T *to) {
    const int64_t slices = product_slices(count, layer.input, columns, layer.threads, layer.share_small);
    Region region{*this, x, stride, count, slices, to};
    spread(region, slices, layer);
  }

private:
  struct Region {
    const InputProducts &own;
    const T *x;
    int64_t stride, count, slices;
    T *to;
    void run(int64_t begin, int64_t end) const {
      own.rows(x, stride, count * begin / slices, count * end / slices, to);
    }
  };
  const Layer<T> &layer;
  int64_t d, columns, strips;
  std::byte *packed;
  T *bias;
  uint8_t *values;
  float *scales;

  Packed all() const { return {packed, strips, layer.input, width}; }
  void rows(const T *x, int64_t stride, int64_t first, int64_t last, T *to) const {
    if constexpr (sizeof(T) == sizeof(float)) {
      const int64_t size = quads(layer.input) * quad;
      for (int64_t r = first; r < last; ++r) scales[r] = quantise(x + r * stride, layer.input, values + r * size);
      alignas(64) float narrow[most_rows * width];
      for (int64_t s = 0; s < strips; ++s)
        for (int64_t r = first, count; r < last; r += count) {
          count = std::min<int64_t>(last - r, rows_for(registers));
          const uint8_t *row[most_rows];
          for (int64_t k = 0; k < count; ++k) row[k] = values + (r + k) * size;
          float *const out = to + r * columns + s * width;
          const int64_t whole = std::min(columns - s * width, width);
          tile_of(registers, count)(row, scales + r, quads(layer.input), all().strip(s), whole < width ? narrow : out,
                                    whole < width ? width : columns, bias + s * width, 0);
          for (int64_t k = 0; whole < width && k < count; ++k)
            std::copy_n(narrow + k * width, whole, out + k * columns);
        }
    }
  }
};

} // namespace gatewise::bytes
