// Weights as a pass reads them: vectors, and blocks packed for the tile.
#pragma once

#include "bytes.h"
#include "call.h"
#include "loop.h"
#include "one_row.h"

namespace gatewise {

// What the prologue computes of the parameters of one direction, and where its vectors are stored.
template <class T> class Vectors {
public:
  Vectors(const Layer<T> &layer, int64_t d, Carver &weights, Carver &work)
      : layer(layer), d(d), pass(layer.program.prologue), row(pass, layer.hidden, work) {
    for (int64_t a = 0; a < pass.array_count; ++a)
      if (pass.arrays[a].role == role_vectors) blocks = pass.arrays[a].blocks;
    computed = weights.take<T>(blocks * layer.hidden);
    scratch = work.take<T>(scratch_blocks(pass) * layer.hidden);
  }
  static int64_t scratch_blocks(const PassInfo &pass) {
    for (int64_t a = 0; a < pass.array_count; ++a)
      if (pass.arrays[a].role == role_scratch) return pass.arrays[a].blocks;
    return 0;
  }

  void compute() const {
    if (!blocks) return;
    for (int64_t a = 0; a < pass.array_count; ++a) {
      const ArrayInfo &info = pass.arrays[a];
      row.arrays[a] = info.role == role_vectors   ? computed
                      : info.role == role_scratch ? scratch
                                                  : layer.block(d, {info.index, 0});
    }
    row.run([&](const BlockInfo &info) { return layer.block(d, info); },
            [&](const BlockInfo &info) { return layer.columns_of(info.group); });
  }

  T *at(const VectorInfo &info) const {
    return info.group < 0 ? computed + info.gate * layer.hidden : layer.block(d, info);
  }
  T *all() const { return computed; }

private:
  const Layer<T> &layer;
  int64_t d;
  const PassInfo &pass;
  OneRow<T> row;
  int64_t blocks = 0;
  T *computed, *scratch;
};

// The weights of a pass of one direction.
template <class T> class PassWeights {
public:
  // `products_with_x`: whether the products with x are made step by step; `in_place`: whether nothing is packed.
  PassWeights(const Layer<T> &layer, const PassInfo &pass, int64_t d, int64_t registers, bool products_with_x,
              bool in_place, const Vectors<T> &vectors, Carver &weights, Carver &work)
      : layer(layer), pass(pass), d(d), group(registers * lanes<T>), products_with_x(products_with_x),
        in_place(in_place), vectors(vectors) {
    int64_t products = 0, most_blocks = 0, blocks = 0;
    for (int64_t k = 0; k < pass.stage_count; ++k) {
      const StageInfo &stage = pass.stages[k];
      products = std::max(products, stage.first_product + stage.product_count);
      most_blocks = std::max(most_blocks, stage.input_count);
      for (int64_t p = stage.first_product; p < stage.first_product + stage.product_count; ++p)
        most_blocks = std::max(most_blocks, pass.products[p].block_count), blocks += pass.products[p].block_count;
    }
    table = work.take<Product<T>>(products);
    stages = work.take<Stage<T>>(pass.stage_count);
    read = work.take<const T *>(pass.vector_count);
    sources = work.take<const T *>(most_blocks);
    if (in_place) {
      unpacked = work.take<const T *>(blocks);
      unpacked_inputs = work.take<const T *>(2 * layer.program.input_count);
    }
    packed = work.take<void *>(products);
    inputs = work.take<void *>(2 * pass.stage_count);
    zeros = work.take<T>(std::max(layer.hidden, group));
    for (int64_t k = 0; !in_place && k < pass.stage_count; ++k) {
      const StageInfo &stage = pass.stages[k];
      for (int64_t p = stage.first_product; p < stage.first_product + stage.product_count; ++p)
        keep(packed, p, take(weights, stage, depth_of(pass.products[p]), pass.products[p].block_count));
      if (!products_with_x || !stage.input_count) continue;
      keep(inputs, 2 * k, take(weights, stage, layer.input, stage.input_count));
      keep(inputs, 2 * k + 1, weights.take<T>(padded(stage) * stage.input_count));
    }
  }

  // Packs them; once for all runs.
  void pack() const {
    for (int64_t k = 0; !in_place && k < pass.stage_count; ++k) {
      const StageInfo &stage = pass.stages[k];
      for (int64_t p = stage.first_product; p < stage.first_product + stage.product_count; ++p) {
        const ProductInfo &product = pass.products[p];
        pack(stage, product.block_count, depth_of(product), product.transposed, packed[p], head_of(product),
             [&](int64_t b) { return pass.blocks[product.first_block + b]; });
      }
      if (!products_with_x || !stage.input_count) continue;
      const InputInfo *const info = layer.program.inputs + stage.first_input;
      pack(stage, stage.input_count, layer.input, false, inputs[2 * k], 0, [&](int64_t i) { return info[i].block; });
      for (int64_t i = 0; i < stage.input_count; ++i)
        sources[i] = info[i].vector.gate < 0 ? zeros : vectors.at(info[i].vector);
      pack_floats(stage, stage.input_count, 1, false, false, inputs[2 * k + 1]);
    }
  }

  // Fills the tables of the loop.
  void describe() const {
    std::fill_n(zeros, std::max(layer.hidden, group), T(0));
    for (int64_t i = 0; in_place && i < layer.program.input_count; ++i) {
      const InputInfo &info = layer.program.inputs[i];
      unpacked_inputs[i] = layer.block(d, info.block);
      unpacked_inputs[layer.program.input_count + i] = info.vector.gate < 0 ? nullptr : vectors.at(info.vector);
    }
    for (int64_t v = 0; v < pass.vector_count; ++v) read[v] = vectors.at(pass.vectors[v]);
    for (int64_t k = 0; k < pass.stage_count; ++k) {
      const StageInfo &stage = pass.stages[k];
      for (int64_t p = stage.first_product; p < stage.first_product + stage.product_count; ++p) {
        const ProductInfo &product = pass.products[p];
        const int64_t count = product.block_count, head = head_of(product);
        table[p] = {product.array,
                    product.block * layer.size(pass.arrays[product.array].size),
                    product.transposed ? count : 1,
                    head ? layer.hidden : depth_of(product),
                    product.transposed ? 1 : count,
                    product.first_output,
                    head,
                    depth_of(product),
                    in_place || layer.in_bytes() ? nullptr : static_cast<const T *>(packed[p]),
                    in_place || !layer.in_bytes() ? nullptr : static_cast<const std::byte *>(packed[p]),
                    unpacked + product.first_block,
                    product.add};
        for (int64_t b = product.first_block; in_place && b < product.first_block + count; ++b)
          unpacked[b] = layer.block(d, pass.blocks[b]);
      }
      const bool reads_x = products_with_x && stage.input_count;
      stages[k] = {work_of<T>(stage),
                   layer.size(stage.units),
                   stage.units == size_projection,
                   table + stage.first_product,
                   stage.product_count,
                   stage.output_count,
                   reads_x && !in_place && !layer.in_bytes() ? static_cast<const T *>(inputs[2 * k]) : nullptr,
                   reads_x && layer.in_bytes() ? static_cast<const std::byte *>(inputs[2 * k]) : nullptr,
                   reads_x && !in_place ? static_cast<const T *>(inputs[2 * k + 1]) : nullptr,
                   unpacked_inputs + stage.first_input,
                   unpacked_inputs + layer.program.input_count + stage.first_input,
                   stage.first_input,
                   stage.input_count,
                   stage.kind == whole_rows,
                   stage.first_sum,
                   stage.sum_count};
    }
  }

  Stage<T> *stages;
  const T **read; // the vectors
  T *zeros;       // (H)

private:
  const Layer<T> &layer;
  const PassInfo &pass;
  int64_t d, group;
  bool products_with_x, in_place;
  const Vectors<T> &vectors;
  Product<T> *table;
  const T **sources, **unpacked = nullptr, **unpacked_inputs = nullptr;
  void **packed, **inputs;

  // Where the carver has no memory there is no table either.
  static void keep(void **to, int64_t at, void *part) {
    if (to) to[at] = part;
  }

  int64_t strips(const StageInfo &stage) const { return (layer.size(stage.units) + group - 1) / group; }
  int64_t padded(const StageInfo &stage) const { return strips(stage) * group; }
  // Units of a head; 0: the blocks are whole.
  int64_t head_of(const ProductInfo &product) const {
    const int64_t heads = layer.heads_of(pass.blocks[product.first_block].group);
    return heads > 1 ? layer.hidden / heads : 0;
  }
  Bands bands_of(int64_t head) const {
    return {head, layer.hidden, group, layer.in_bytes() ? bytes::quad : layer.in_pairs() ? 2 : 1};
  }
  // Of each block; of blocks divided into heads the widest band of a strip.
  int64_t depth_of(const ProductInfo &product) const {
    const int64_t block = pass.blocks[product.first_block].group, head = head_of(product);
    if (head) return bands_of(head).widest();
    return product.transposed ? layer.rows_of(block) : layer.columns_of(block);
  }

  void *take(Carver &weights, const StageInfo &stage, int64_t depth, int64_t count) const {
    if (layer.in_bytes()) return weights.take<std::byte>(bytes::Packed::size(strips(stage), depth, group * count));
    return weights.take<T>(padded(stage) * (layer.in_pairs() ? bfloat16::pairs(depth) : depth) * count);
  }
  // `head`: units of a head, or 0; `block_of(b)`: which block of the parameters is number b of these.
  template <class BlockOf>
  void pack(const StageInfo &stage, int64_t count, int64_t depth, bool transposed, void *to, int64_t head,
            BlockOf block_of) const {
    if (layer.in_bytes()) return pack_bytes(stage, count, depth, to, head, block_of);
    for (int64_t b = 0; b < count; ++b) sources[b] = layer.block(d, block_of(b));
    pack_floats(stage, count, depth, transposed, layer.in_pairs(), to, head);
  }
  // Forward there are no transposed products.
  template <class BlockOf>
  void pack_bytes(const StageInfo &stage, int64_t count, int64_t depth, void *to, int64_t head,
                  BlockOf block_of) const {
    const bytes::Packed all(static_cast<std::byte *>(to), strips(stage), depth, group * count);
    for (int64_t s = 0; s < strips(stage); ++s)
      for (int64_t b = 0; b < count; ++b)
        for (int64_t u = 0; u < group; ++u) {
          const int64_t unit = s * group + u;
          const bool beyond = unit >= layer.size(stage.units);
          const int64_t before = head && !beyond ? unit / head * head - bands_of(head).of(s).first : 0;
          all.set(s, b * group + u, beyond ? bytes::Row{} : layer.row_of_block(d, block_of(b), unit),
                  head ? head : depth, before);
        }
  }
  void pack_floats(const StageInfo &stage, int64_t count, int64_t depth, bool transposed, bool paired, void *to,
                   int64_t head = 0) const {
    const int64_t elements = padded(stage) * depth * count;
    const int64_t slices =
        elements < packing_worth_splitting && !layer.share_small ? 1 : std::min(layer.threads, strips(stage));
    Packing<T> packing{sources, count, layer.size(stage.units), depth, group, transposed,
                       paired,  head,  static_cast<T *>(to),    slices};
    spread(packing, slices, layer);
  }
};

} // namespace gatewise
