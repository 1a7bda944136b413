/* The engine's C interface: one struct for each call.
 *
 * The caller owns every buffer and keeps it until the call returns; the engine keeps no address. A null buffer means a
 * zero state, a zero upstream gradient, or a gradient that is not wanted. Letters: T steps, B rows, I input size,
 * H hidden size, P projection size, n heads, D directions, L layers, S states of a cell, N rows of a sequence array:
 * T·B, or with lengths the valid steps alone. Every field has 8 bytes. */
#ifndef GATEWISE_API_H
#define GATEWISE_API_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Contiguous elements. */
typedef struct gatewise_dense {
  void *data;
  int64_t count; /* of elements */
} gatewise_dense;

/* (T, B, features): features are dense, strides are in elements. */
typedef struct gatewise_sequence {
  void *data;
  int64_t count; /* of elements, up to the last one */
  int64_t step_stride, row_stride;
} gatewise_sequence;

/* One state of the cell, (L·D, B, H) each, or P wide where the program says so, and after every step, in the layout of
 * the output; the sequence of the first state is the output itself. */
typedef struct gatewise_state {
  gatewise_dense initial, final;
  gatewise_dense final_gradient, initial_gradient;
  gatewise_sequence sequence, sequence_gradient;
} gatewise_state;

/* One parameter group of one direction of one layer, in the layout of its tensor. */
typedef struct gatewise_parameter {
  gatewise_dense value, gradient;
  gatewise_dense scales; /* null; or of each row of weights, float: then `value` holds 8-bit integers (precision 8) */
} gatewise_parameter;

/* The probability of one mask of the program, and the factor of units that it keeps. */
typedef struct gatewise_mask {
  double threshold; /* p · 2^32, an integer: units whose random word is smaller are dropped; 0: none */
  double kept;
} gatewise_mask;

/* What teams of several threads took, added to. */
typedef struct gatewise_team {
  double seconds; /* from the beginning of their work to its end */
  double alone;   /* processor time of the work, without waiting: what one thread would take */
} gatewise_team;

/* A thread pool: calls body(begin, end, context) so that the ranges cover [begin, end), each on a thread of its
 * own and of at least `grain`. */
typedef int32_t (*gatewise_pool)(int64_t begin, int64_t end, int64_t grain, void (*body)(int64_t, int64_t, void *),
                                 void *context);

enum gatewise_code {
  GATEWISE_OK = 0,
  GATEWISE_MORE = 1,            /* call again with the same struct and workspace to continue */
  GATEWISE_NEEDS_WORKSPACE = 2, /* `needed` bytes; nothing has been done */
  GATEWISE_NEEDS_WEIGHTS = 3,   /* `needed` bytes of layout `weights_layout`; nothing has been done */
  GATEWISE_BAD_LENGTH = 4,      /* a length is not in [0, T] */
  GATEWISE_BAD_BUFFER = 5,      /* `needed` is the number of the field in `gatewise_fields`: its buffer is too short */
  GATEWISE_BAD_ABI = 6,         /* the struct or the program belongs to another build */
  GATEWISE_BAD_SIZE = 7         /* `needed` is the number of the field: no call has this size */
};

enum gatewise_phase {
  GATEWISE_PACKING,
  GATEWISE_PRODUCTS_BEFORE,
  GATEWISE_LOOP,
  GATEWISE_PRODUCTS_AFTER,
  GATEWISE_SUMS,
  GATEWISE_PHASES
};

typedef struct gatewise_call {
  int64_t struct_size, abi;
  int64_t dtype;     /* 4: float, 8: double */
  int64_t precision; /* of products: 0: that of the dtype; 16: of floats, factors rounded to bfloat16; 8: of floats, to
                        8-bit integers, forward, with nothing saved */
  int64_t steps, rows, input_size, hidden_size, directions;
  int64_t projection_size; /* P ≤ H; any value if no state of the program has this width */
  int64_t heads;           /* n, a divisor of H; any value if no matrix of the program is divided into heads */
  int64_t layers;          /* more than 1: forward only, nothing saved or observed, no checkpoints */
  int64_t reverse;         /* with one direction: whether it reads from the end */
  int64_t threads;         /* number of partitions of the work, which determines the bits */
  int64_t workers;         /* how many threads may run at once */
  int64_t chunk;           /* return GATEWISE_MORE after about this many multiply-adds; 0: never */
  int64_t checkpoint;      /* steps between the states in `boundaries`; 0: no checkpoints */
  int64_t share_small;     /* partition work of any size, for tests */
  int64_t accumulate;      /* 1: add to the gradient of x; 2: add to the gradients of the parameters; 3: both */
  int64_t position;        /* 0 initially; private to the engine while it returns GATEWISE_MORE */
  int64_t needed;
  int64_t weights_layout, weights_filled; /* of `weights`; filled: they are read, else written */
  const void *program;                    /* a gatewise::Program */
  gatewise_pool pool;                     /* or null: one thread */
  double *seconds;                        /* by phase, added to; or null */
  gatewise_team *team;                    /* or null */
  gatewise_dense workspace, weights;      /* in bytes; weights: null, or packed weights that outlive the call */
  gatewise_sequence x, output;
  gatewise_dense lengths;    /* (B) int64 or null */
  gatewise_sequence reset;   /* (T, B) bytes or null */
  gatewise_dense saved;      /* (D, N, K·H + M·P + V), K from `gatewise_saved_blocks`, M from
                                `gatewise_saved_projections`, V from `gatewise_saved_row_values`; additional rows are
                                zeroed */
  gatewise_dense boundaries; /* (D, segments, S, B, H): states before every `checkpoint` steps, each of its width */
  gatewise_sequence output_gradient, x_gradient;
  gatewise_dense norms;           /* (D, T·B, S) double: norms of the total gradients of the states */
  gatewise_dense state_values;    /* (D, S, T·B, H), each state of its width */
  gatewise_dense state_gradients; /* (D, T·B, S, H), likewise */
  int64_t mask_seed, mask_stream; /* stream: a number of the first layer and direction; each further one has the next */
  int64_t mask_step;              /* of the first step, in the masks' counting */
  const gatewise_mask *masks;     /* those of the program; null where it has none */
  gatewise_state *states;         /* S */
  gatewise_parameter *parameters; /* (L, D, groups) */
} gatewise_call;

typedef struct gatewise_field {
  const char *name;
  int64_t offset;
} gatewise_field;

#ifdef __cplusplus
}
#endif
#endif
