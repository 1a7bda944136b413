// What is checked of a call before any work: its build, its sizes, its buffers.
#pragma once

#include "bytes.h"
#include "fields.h"
#include "program.h"

#include <algorithm>
#include <string_view>
#include <utility>

#ifndef GATEWISE_ABI
#define GATEWISE_ABI 0
#endif

namespace gatewise {

inline int64_t number_of(const char *name) {
  int64_t k = 0;
  while (std::string_view(fields[k].name) != name) ++k;
  return k;
}
inline int64_t short_buffer(gatewise_call &call, const char *name) {
  call.needed = number_of(name);
  return GATEWISE_BAD_BUFFER;
}

// Rejects buffers that are too short, by their field's number.
class Checker {
public:
  explicit Checker(gatewise_call &call) : call(call) {}
  bool ok = true;

  void dense(const char *name, const gatewise_dense &buffer, int64_t count, bool needed = false) {
    if (buffer.data ? buffer.count < count : needed && count > 0) reject(name);
  }
  void sequence(const char *name, const gatewise_sequence &buffer, int64_t width, bool needed = false) {
    const int64_t steps = call.steps, rows = call.rows;
    const int64_t count = (steps - 1) * buffer.step_stride + (rows - 1) * buffer.row_stride + width;
    if (buffer.data ? buffer.count < count || buffer.step_stride < 0 || buffer.row_stride < 0 : needed) reject(name);
  }

  void reject(const char *name) {
    if (!ok) return;
    ok = false;
    short_buffer(call, name);
  }

private:
  gatewise_call &call;
};

inline bool is_divided(const Program &program) {
  return std::any_of(program.groups, program.groups + program.group_count,
                     [](const GroupInfo &group) { return group.divided != 0; });
}
inline bool is_projected(const Program &program) {
  return std::count(program.states, program.states + program.state_count, size_projection) > 0;
}
// Whether expressions of parameters alone multiply by weights of a group.
inline bool is_read_by_prologue(const Program &program, int64_t group) {
  const PassInfo &pass = program.prologue;
  for (int64_t k = 0; k < pass.stage_count; ++k)
    for (int64_t p = 0; p < pass.stages[k].product_count; ++p)
      if (pass.blocks[pass.products[pass.stages[k].first_product + p].first_block].group == group) return true;
  return false;
}
inline bool is_of_this_build(const gatewise_call *c) {
  return c->struct_size == int64_t(sizeof(gatewise_call)) && c->abi == GATEWISE_ABI && c->program &&
         static_cast<const Program *>(c->program)->abi == GATEWISE_ABI &&
         (c->dtype == sizeof(float) || c->dtype == sizeof(double));
}
// The number of the field with an invalid size is left in `needed`.
inline bool has_sizes(gatewise_call *c, bool backward) {
  const std::pair<const char *, bool> right[] = {
      {"precision", c->precision == 0 || (!inference && c->precision == 16 && c->dtype == sizeof(float)) ||
                        (bytes::available && c->precision == 8 && c->dtype == sizeof(float) && !backward &&
                         !c->saved.data && !c->boundaries.data)},
      {"steps", c->steps >= 0},
      {"rows", c->rows >= 0},
      {"input_size", c->input_size >= 1},
      {"hidden_size", c->hidden_size >= 1},
      {"projection_size", !is_projected(*static_cast<const Program *>(c->program)) ||
                              (c->projection_size >= 1 && c->projection_size <= c->hidden_size)},
      {"heads",
       !is_divided(*static_cast<const Program *>(c->program)) || (c->heads >= 1 && c->hidden_size % c->heads == 0)},
      {"directions", c->directions == 1 || c->directions == 2},
      {"layers", c->layers >= 1},
      {"threads", c->threads >= 1},
      {"workers", c->workers >= 1},
      {"chunk", c->chunk >= 0},
      {"checkpoint", c->checkpoint >= 0},
  };
  for (const auto &[name, is_right] : right)
    if (!is_right) {
      c->needed = number_of(name);
      return false;
    }
  return true;
}

// The number of the field whose buffer is too short is left in `needed`.
inline int64_t check(gatewise_call &c, bool backward) {
  const Program &program = *static_cast<const Program *>(c.program);
  Checker checker(c);
  const int64_t places = c.steps * c.rows;
  const auto size = [&](int64_t of) { return of == size_projection ? c.projection_size : c.hidden_size; };
  int64_t all_states = 0;
  for (int64_t s = 0; s < program.state_count; ++s) all_states += size(program.states[s]);
  const int64_t width = c.directions * size(program.states[0]);
  checker.sequence("x", c.x, c.input_size, true);
  checker.sequence("output", c.output, width, !backward || !c.checkpoint);
  checker.dense("lengths", c.lengths, c.rows);
  checker.sequence("reset", c.reset, 1);
  if (c.layers > 1) // the outputs of the layers below are not handed out
    for (const auto &[name, given] : {std::pair{"saved", c.saved.data},
                                      {"boundaries", c.boundaries.data},
                                      {"norms", c.norms.data},
                                      {"state_values", c.state_values.data}})
      if (given || backward) checker.reject(name);
  if (program.mask_count && !c.masks) checker.reject("masks");
  checker.dense("norms", c.norms, c.directions * places * program.state_count);
  checker.dense("state_values", c.state_values, c.directions * places * all_states);
  checker.dense("state_gradients", c.state_gradients, c.directions * places * all_states);
  if (c.checkpoint) {
    const int64_t segments = (c.steps + c.checkpoint - 1) / c.checkpoint;
    checker.dense("boundaries", c.boundaries, c.directions * segments * c.rows * all_states, true);
  }
  if (backward) {
    checker.sequence("output_gradient", c.output_gradient, width);
    checker.sequence("x_gradient", c.x_gradient, c.input_size);
  }
  for (int64_t s = 0; s < program.state_count; ++s) {
    const gatewise_state &state = c.states[s];
    const int64_t own = c.directions * size(program.states[s]), all_rows = c.layers * c.rows * own;
    checker.dense("states.initial", state.initial, all_rows);
    if ((s == 0 || c.layers > 1) && state.sequence.data) checker.reject("states.sequence");
    if (s == 0 && state.sequence_gradient.data) checker.reject("states.sequence_gradient");
    if (!backward) {
      checker.dense("states.final", state.final, all_rows);
      checker.sequence("states.sequence", state.sequence, own);
    } else {
      checker.sequence("states.sequence_gradient", state.sequence_gradient, own);
      checker.dense("states.final_gradient", state.final_gradient, all_rows);
      checker.dense("states.initial_gradient", state.initial_gradient, all_rows);
    }
  }
  for (int64_t l = 0, at = 0; l < c.layers; ++l)
    for (int64_t d = 0; d < c.directions; ++d)
      for (int64_t g = 0; g < program.group_count; ++g, ++at) {
        const GroupInfo &group = program.groups[g];
        const int64_t input = l ? width : c.input_size;
        const int64_t columns = group.columns < 0 ? 1 : group.columns == size_input ? input : size(group.columns);
        const int64_t count = group.gates * size(group.rows) * columns / (group.divided ? c.heads : 1);
        checker.dense("parameters.value", c.parameters[at].value, count, true);
        const gatewise_dense &scales = c.parameters[at].scales;
        checker.dense("parameters.scales", scales, group.gates * size(group.rows));
        if (scales.data && (c.precision != 8 || group.columns < 0 || is_read_by_prologue(program, g)))
          checker.reject("parameters.scales");
        if (backward) checker.dense("parameters.gradient", c.parameters[at].gradient, count);
      }
  return checker.ok ? GATEWISE_OK : GATEWISE_BAD_BUFFER;
}

} // namespace gatewise
