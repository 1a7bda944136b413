// Stacks of layers in one call, against one call for each layer.
#pragma once

#include "run.h"

// The layers of a stack: each reads the output of the one below, and all of them the same lengths and boundaries.
inline std::vector<Problem> stacked(const gatewise::Program &program, const Shape &shape, int64_t layers) {
  std::vector<Problem> all;
  for (int64_t l = 0; l < layers; ++l) {
    Shape own = shape;
    if (l > 0) own.inputs = shape.directions * all.front().width(0);
    all.emplace_back(program, own, unsigned(7 + l));
    all.back().lengths = all.front().lengths, all.back().reset = all.front().reset;
  }
  return all;
}

template <class T> class Stack {
public:
  // Runs one call; `zeros`: initial states are null. Held weights are packed by a first call and read by a second one.
  Stack(const std::vector<Problem> &layers, const Way &way, bool zeros)
      : below(layers.front(), way), name(text(layers.front(), way) + " layers " + std::to_string(layers.size())) {
    const Problem &first = layers.front();
    call = below.of_pass(false);
    call.layers = int64_t(layers.size()), call.saved = {};
    finals.resize(first.program.state_count);
    for (int64_t s = 0; s < first.program.state_count; ++s) {
      const int64_t count = call.layers * first.shape.directions * first.shape.rows * first.width(s);
      finals[s].assign(count, std::numeric_limits<T>::quiet_NaN());
      std::vector<T> &initial = initials.emplace_back();
      for (const Problem &layer : layers) {
        const Values &own = layer.inputs.at("initial " + std::to_string(s));
        initial.insert(initial.end(), own.begin(), own.end());
      }
      const gatewise_dense given{initial.data(), count};
      states.push_back({zeros ? gatewise_dense{} : given, {finals[s].data(), count}, {}, {}});
    }
    for (const Problem &layer : layers)
      for (int64_t d = 0; d < first.shape.directions; ++d)
        for (int64_t g = 0; g < first.program.group_count; ++g) {
          const Values &own = layer.inputs.at(Problem::parameter(d, g));
          std::vector<T> &values = weights.emplace_back(own.begin(), own.end());
          parameters.push_back({{values.data(), int64_t(values.size())}, {}});
        }
    call.states = states.data(), call.parameters = parameters.data();
    refusals();
    std::vector<uint8_t> packed;
    if (way.held) packed = hold_weights(call, false, name);
    finish(call, name);
    if (!way.held) return;
    const std::vector<uint8_t> before = packed;
    call.weights_filled = 1;
    finish(call, name);
    expect(name + ": held weights are only read", before == packed);
  }

  // "output" and "final 0", …, the latter (L, D, B, H).
  Result result() {
    Result all{{"output", below.result(false).at("output")}};
    for (size_t s = 0; s < finals.size(); ++s)
      all["final " + std::to_string(s)].assign(finals[s].begin(), finals[s].end());
    return all;
  }

private:
  Run<T> below; // whose x, output, lengths and boundaries are those of the stack
  std::string name;
  gatewise_call call;
  std::vector<gatewise_state> states;
  std::vector<gatewise_parameter> parameters;
  std::deque<std::vector<T>> initials, weights;
  std::vector<std::vector<T>> finals;

  // A stack is run forward alone, and nothing of it is saved or observed.
  void refusals() {
    T some[1];
    double norm[1];
    const auto rejected = [&](gatewise_call own, const char *field, bool backward = false) {
      int64_t count;
      const gatewise_field *fields = gatewise_fields(&count);
      const int64_t code = backward ? gatewise_backward(&own) : gatewise_forward(&own);
      expect(name + ": rejected for " + field,
             code == GATEWISE_BAD_BUFFER && std::string_view(fields[own.needed].name) == field);
    };
    gatewise_call own = call;
    own.saved = {some, 1};
    rejected(own, "saved"), rejected(call, "saved", true);
    own = call, own.norms = {norm, 1};
    rejected(own, "norms");
    own = call, own.state_values = {some, 1};
    rejected(own, "state_values");
    states.back().sequence = {some, 1, 0, 0};
    rejected(call, "states.sequence");
    states.back().sequence = {};
    --states.front().final.count;
    rejected(call, "states.final");
    ++states.front().final.count;
    --parameters.back().value.count;
    rejected(call, "parameters.value");
    ++parameters.back().value.count;
  }
};

inline void check_stack(const gatewise::Program &program, const Shape &shape, int64_t layers) {
  for (bool zeros : {false, true}) {
    std::vector<Problem> all = stacked(program, shape, layers);
    Result wanted;
    for (int64_t l = 0; l < layers; ++l) {
      Problem &one = all[l];
      for (auto &[name, values] : one.inputs)
        if (zeros && name.starts_with("initial")) values.assign(values.size(), 0);
      if (l > 0) one.inputs["x"] = wanted["output"];
      for (const auto &[name, values] : run<double>(one, {}, false)) {
        Values &to = wanted[name];
        if (name == "output") to.clear();
        to.insert(to.end(), values.begin(), values.end());
      }
    }
    for (const Way &way : {Way{}, Way{.threads = 3, .workers = 2, .layout = 1},
                           Way{.threads = 2, .workers = 2, .chunk = 1, .held = true}, Way{.chunk = 5000, .layout = 2},
                           Way{.threads = 4, .workers = 4, .team = 2, .held = true}}) {
      const std::string name = text(all.front(), way) + " layers " + std::to_string(layers);
      compare_all(name, Stack<double>(all, way, zeros).result(), wanted, 1e-12);
      compare_all(name + ", float", Stack<float>(all, way, zeros).result(), wanted, 2e-4);
    }
  }
}
