// A cell as the compiler has emitted it, in tables: what `gatewise.compiler.emit.Program` says in Python.
#pragma once

#include "cell.h"

#include <algorithm>
#include <string>
#include <type_traits>
#include <vector>

namespace description {

struct Product {
  int array, block; // the operand
  std::vector<int> matrices;
  int first;
  bool add;
};

struct Stage {
  gatewise::Work<float> work_f32;
  gatewise::Work<double> work_f64;
  std::vector<Product> products;
  int outputs;
  int first_input, inputs; // the values from x that the work reads

  template <class T> gatewise::Work<T> work() const {
    if constexpr (std::is_same_v<T, float>) return work_f32;
    else return work_f64;
  }
};

struct Array {
  std::string name;
  int blocks; // of H units in a row
};

struct Direction {
  std::vector<Stage> stages;
  std::vector<Array> arrays;
  std::vector<int> vectors; // numbers of the cell's vectors
};

// The gradient of a matrix: the sum over all steps of the outer products of these.
struct Outer {
  int matrix, delta; // delta: block of the array "delta"
  std::string operand;
};

// A sum that the backward work makes is the gradient of a vector, or of what is added to a value from x; or −1.
struct Sum {
  int vector, input;
};

struct Cell {
  std::string name;
  std::vector<std::string> states;
  int matrices, vectors;   // recurrent matrices (H, H); vectors (H)
  std::vector<int> biased; // for each value from x, a product of its own, whether something is added
  Direction forward, backward;
  std::vector<int> input_gradients; // blocks of the array "delta"
  std::vector<Outer> outers;
  std::vector<Sum> sums;

  int inputs() const { return int(biased.size()); }
  bool any_biased() const { return std::count(biased.begin(), biased.end(), 0) < inputs(); }
};

extern const std::vector<Cell> cells;

} // namespace description
