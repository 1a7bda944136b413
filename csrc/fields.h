// The fields of a call by name, with their offsets, which both sides of the interface compare.
#pragma once
#include "api.h"

#include <cstddef>
#include <iterator>

static_assert(sizeof(void *) == 8, "every field of a call has 8 bytes");

namespace gatewise {

#define GATEWISE_FIELD(name) {#name, offsetof(gatewise_call, name)}
#define GATEWISE_STATE_FIELD(name) {"states." #name, offsetof(gatewise_state, name)}
#define GATEWISE_PARAMETER_FIELD(name) {"parameters." #name, offsetof(gatewise_parameter, name)}
inline constexpr gatewise_field fields[] = {
    GATEWISE_FIELD(struct_size),
    GATEWISE_FIELD(abi),
    GATEWISE_FIELD(dtype),
    GATEWISE_FIELD(precision),
    GATEWISE_FIELD(steps),
    GATEWISE_FIELD(rows),
    GATEWISE_FIELD(input_size),
    GATEWISE_FIELD(hidden_size),
    GATEWISE_FIELD(directions),
    GATEWISE_FIELD(projection_size),
    GATEWISE_FIELD(heads),
    GATEWISE_FIELD(layers),
    GATEWISE_FIELD(reverse),
    GATEWISE_FIELD(threads),
    GATEWISE_FIELD(workers),
    GATEWISE_FIELD(chunk),
    GATEWISE_FIELD(checkpoint),
    GATEWISE_FIELD(share_small),
    GATEWISE_FIELD(accumulate),
    GATEWISE_FIELD(position),
    GATEWISE_FIELD(needed),
    GATEWISE_FIELD(weights_layout),
    GATEWISE_FIELD(weights_filled),
    GATEWISE_FIELD(program),
    GATEWISE_FIELD(pool),
    GATEWISE_FIELD(seconds),
    GATEWISE_FIELD(team),
    GATEWISE_FIELD(workspace),
    GATEWISE_FIELD(weights),
    GATEWISE_FIELD(x),
    GATEWISE_FIELD(output),
    GATEWISE_FIELD(lengths),
    GATEWISE_FIELD(reset),
    GATEWISE_FIELD(saved),
    GATEWISE_FIELD(boundaries),
    GATEWISE_FIELD(output_gradient),
    GATEWISE_FIELD(x_gradient),
    GATEWISE_FIELD(norms),
    GATEWISE_FIELD(state_values),
    GATEWISE_FIELD(state_gradients),
    GATEWISE_FIELD(mask_seed),
    GATEWISE_FIELD(mask_stream),
    GATEWISE_FIELD(mask_step),
    GATEWISE_FIELD(masks),
    GATEWISE_FIELD(states),
    GATEWISE_FIELD(parameters),
    GATEWISE_STATE_FIELD(initial),
    GATEWISE_STATE_FIELD(final),
    GATEWISE_STATE_FIELD(final_gradient),
    GATEWISE_STATE_FIELD(initial_gradient),
    GATEWISE_STATE_FIELD(sequence),
    GATEWISE_STATE_FIELD(sequence_gradient),
    GATEWISE_PARAMETER_FIELD(value),
    GATEWISE_PARAMETER_FIELD(gradient),
    GATEWISE_PARAMETER_FIELD(scales),
};

#undef GATEWISE_FIELD
#undef GATEWISE_STATE_FIELD
#undef GATEWISE_PARAMETER_FIELD

} // namespace gatewise

#ifndef GATEWISE_INFERENCE
extern "C" [[gnu::visibility("default"), gnu::used]] inline const gatewise_field *gatewise_fields(int64_t *count) {
  *count = int64_t(std::size(gatewise::fields));
  return gatewise::fields;
}
#endif
