// A cell for the engine: constants that the compiler emits besides the functions of the cell's work.
//
// A step of a cell is stages of products and elementwise work. A pass is the stages of one direction of time; the
// prologue and the epilogue are passes over a single row, which hold expressions of parameters alone and their
// gradients. Widths and depths are indices into the sizes of a call.
#pragma once

#include "cell.h"

namespace gatewise {

enum Size : int64_t { size_input, size_hidden, size_projection, size_one };

// The content of the rows of an array; `index` is the number among several.
enum Role : int64_t {
  role_input,             // the input projections, in blocks of H units, or the first P of them; or x itself
  role_previous_state,    // state `index` before the step
  role_next_state,        // and after it
  role_saved,             // values saved for backward; 1: of the width of a projection
  role_scratch,           // values passed between stages; 1: of the width of a projection
  role_row_values,        // sums over units, one value each
  role_saved_row_values,  // values that a row has once, saved for backward
  role_output_gradient,   // upstream gradient of the first state
  role_arriving_gradient, // upstream gradient of state `index` from the next step
  role_sent_gradient,     // and its gradient for the previous step
  role_state_gradients,   // for observers: the total gradients of states, from state `index` on
  role_delta,             // gradients of products, for the parameter gradients after the loop; 1: of a projection
  role_operand,           // operand `index` of such products
  role_mask,              // mask `index`
  // In the prologue and the epilogue:
  role_parameter, // the vector group `index`
  role_vectors,   // what the prologue computes
  role_sums,      // reductions over steps and rows of gradients of vectors
  role_results,   // what the epilogue computes
};

struct ArrayInfo {
  Role role;
  int64_t index, blocks; // a row has this many blocks
  Size size;             // of a block
};

// A block of a parameter group: the rows of one gate.
struct BlockInfo {
  int64_t group, gate;
};

// Blocks times one operand. In a loop forward: one output for each block; backward the transposed blocks, stacked in
// the depth, make one output. In the prologue and the epilogue there is one block.
struct ProductInfo {
  int64_t array, block; // where the operand is stored
  int64_t first_block, block_count;
  int64_t first_output, transposed;
  int64_t add; // whether an earlier product of the stage has the same output, and this one adds to it
};

// Work on whole rows takes all units at once, and has no products: it reads sums over units, or completes them.
enum StageKind : int64_t { products_then_work, whole_rows };

struct StageInfo {
  StageKind kind;
  Size units;           // H or P: of its products and of what the work reads and writes, but for values of rows
  Work<float> work_f32; // or null
  Work<double> work_f64;
  int64_t first_product, product_count, output_count;
  int64_t first_input, input_count; // the input projections that the work reads
  int64_t first_sum, sum_count;     // the row values that are its sums over units
};

// A vector of the width of its stage that the work reads: a block of a parameter, or block `gate` of what the prologue
// computes when `group` is −1.
using VectorInfo = BlockInfo;

struct PassInfo {
  const StageInfo *stages;
  int64_t stage_count;
  const ProductInfo *products;
  const BlockInfo *blocks;
  const ArrayInfo *arrays;
  int64_t array_count;
  const VectorInfo *vectors;
  int64_t vector_count, sum_count;
};

struct GroupInfo {
  const char *name;
  int64_t gates;
  Size rows;       // of a gate's block
  int64_t columns; // a Size, or −1 for a vector
  int64_t divided; // whether the blocks are divided into heads: (H, H/n) rather than (H, H)
};

// An input projection: a product with x, and at most one vector (`vector.gate` −1: none).
struct InputInfo {
  BlockInfo block;
  VectorInfo vector;
};

// Matrix gradients: the sum over steps and rows of blocks of the array of deltas times one operand.
struct OuterInfo {
  BlockInfo first;
  int64_t count, delta; // blocks of the group, and the first block of the array
  int64_t operand;      // number of the operand; −1: x
};

struct OperandInfo {
  int64_t state; // the state that it is, before the step; −1: a value of its own
};

// A vector of the epilogue: a block of its reductions, or of its results.
struct SourceInfo {
  int64_t result, block; // result: 1 for the results, 0 for the reductions
};

// The gradient of a block holds a vector, or the outer product of two (`right.block` −1: the first alone).
struct GradientInfo {
  BlockInfo block;
  SourceInfo left, right;
};

struct MaskInfo {
  int64_t key;       // of its name, in the generator's counter
  int64_t each_step; // drawn at every step; else once for a sequence
  Size size;
};

struct Program {
  int64_t abi;
  const char *name;
  int64_t state_count, group_count, input_count, outer_count, operand_count, gradient_count, saved_blocks;
  const GroupInfo *groups;
  const InputInfo *inputs;
  const OuterInfo *outers;
  const OperandInfo *operands;
  const GradientInfo *gradients;
  const MaskInfo *masks;
  int64_t mask_count;
  const Size *states; // the width of each
  PassInfo prologue, forward, backward, epilogue;
  int64_t saved_row_values;  // beside the saved blocks
  int64_t saved_projections; // blocks of P units, after everything else that is saved
};

} // namespace gatewise
