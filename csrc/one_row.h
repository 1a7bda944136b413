// The prologue and the epilogue of a cell: expressions of parameters alone, a single row.
#pragma once

#include "dot.h"
#include "program.h"
#include "tile.h"
#include "workspace.h"

namespace gatewise {

template <class T> Work<T> work_of(const StageInfo &stage) {
  if constexpr (sizeof(T) == sizeof(float)) return stage.work_f32;
  else return stage.work_f64;
}

// Runs a pass whose arrays have one row each; `arrays` says where, by number.
template <class T> class OneRow {
public:
  OneRow(const PassInfo &pass, int64_t hidden, Carver &work) : pass(pass), hidden(hidden) {
    width = round_up(hidden, lanes<T>);
    int64_t outputs = 0;
    for (int64_t k = 0; k < pass.stage_count; ++k) outputs = std::max(outputs, pass.stages[k].output_count);
    arrays = work.take<T *>(pass.array_count);
    rows = work.take<T *const *>(pass.array_count);
    products = work.take<T>(outputs * most_rows * width);
  }

  T **arrays;

  // block(info): where a block of the parameters begins; columns(info): the columns of a matrix, H or those of a head.
  template <class Block, class Columns> void run(Block block, Columns columns) const {
    for (int64_t a = 0; a < pass.array_count; ++a) rows[a] = arrays + a;
    for (int64_t k = 0; k < pass.stage_count; ++k) {
      const StageInfo &stage = pass.stages[k];
      for (int64_t p = stage.first_product; p < stage.first_product + stage.product_count; ++p) {
        const ProductInfo &product = pass.products[p];
        const BlockInfo &info = pass.blocks[product.first_block];
        multiply(block(info), columns(info), arrays[product.array] + product.block * hidden, product.transposed,
                 products + product.first_output * most_rows * width);
      }
      if (const Work<T> work = work_of<T>(stage))
        work({rows, nullptr, nullptr, products, 1, 0, hidden, width, hidden, hidden, nullptr});
    }
  }

private:
  const PassInfo &pass;
  int64_t hidden, width;
  T *const **rows;
  T *products;

  void multiply(const T *matrix, int64_t head, const T *vector, bool transposed, T *out) const {
    std::fill(out, out + width, T(0));
    for (int64_t k = 0; k < hidden; k += head)
      if (!transposed) dots(matrix + k * head, vector + k, head, head, static_cast<const T *>(nullptr), out + k);
      else
        for (int64_t i = k; i < k + head; ++i)
          for (int64_t j = 0; j < head; ++j) out[k + j] += matrix[i * head + j] * vector[i];
  }
};

} // namespace gatewise
