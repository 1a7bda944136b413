// Drives the engine over every built-in cell from C++, with a thread pool of its own, so that the sanitizers see all of
// it: odd sizes, both splits, teams smaller than asked, several callers at once, lengths, cuts, steps in several calls.
#include "cells.h"
#include "gemm.h"
#include "run.h"

#include <cstdio>
#include <mutex>

extern "C" {
int gatewise_multiply_f32(const gatewise::Gemm<float> *, int64_t, gatewise::ParallelFor);
int gatewise_multiply_f64(const gatewise::Gemm<double> *, int64_t, gatewise::ParallelFor);
}

namespace {

std::mutex printing;
std::atomic<int> failures{0};
std::atomic<int64_t> comparisons{0};

void compare(const std::string &what, const Values &got, const Values &wanted, double tolerance) {
  double scale = 1, worst = 0;
  for (double value : wanted) scale = std::max(scale, std::fabs(value));
  bool wrong = got.size() != wanted.size();
  for (size_t i = 0; !wrong && i < got.size(); ++i) {
    worst = std::max(worst, std::fabs(got[i] - wanted[i]));
    wrong = !(std::fabs(got[i] - wanted[i]) <= tolerance * scale);
  }
  ++comparisons;
  if (!wrong) return;
  const std::lock_guard<std::mutex> lock(printing);
  if (++failures <= 20) std::printf("%s: off by %g of %g\n", what.c_str(), worst, scale);
}

std::string text(const Shape &shape) {
  return "T " + std::to_string(shape.steps) + " B " + std::to_string(shape.rows) + " H " +
         std::to_string(shape.hidden) + (shape.ragged ? " ragged" : "") + (shape.cut ? " cut" : "") +
         (shape.reverse ? " reverse" : "");
}
std::string text(const Way &way) {
  return std::to_string(way.slices) + " slices of " + (way.split_units ? "units" : "rows") + " on " +
         std::to_string(way.team) + ", blocks " + std::to_string(way.blocks) + ", chunk " + std::to_string(way.chunk);
}

void compare(const std::string &what, const Result &got, const Result &wanted, double tolerance, bool backward) {
  compare(what + ": output", got.output, wanted.output, tolerance);
  compare(what + ": between rows of the output", {double(got.intact)}, {1}, 0);
  const auto each = [&](const char *name, const std::vector<Values> &a, const std::vector<Values> &b) {
    for (size_t i = 0; i < b.size(); ++i) compare(what + ": " + name + " " + std::to_string(i), a[i], b[i], tolerance);
  };
  each("final", got.finals, wanted.finals);
  if (!backward) return;
  compare(what + ": gradient of x", got.input_gradient, wanted.input_gradient, tolerance);
  each("gradient of initial", got.initial_gradients, wanted.initial_gradients);
  each("gradient of matrix", got.matrix_gradients, wanted.matrix_gradients);
  each("gradient of vector", got.vector_gradients, wanted.vector_gradients);
}

double loss(const description::Cell &cell, const Problem &problem) {
  const Result result = run<double>(cell, {problem}, {}, false)[0];
  double sum = 0;
  for (size_t i = 0; i < result.output.size(); ++i) sum += result.output[i] * problem.output_gradient[i];
  for (size_t k = 0; k < result.finals.size(); ++k)
    for (size_t i = 0; i < result.finals[k].size(); ++i) sum += result.finals[k][i] * problem.final_gradients[k][i];
  return sum;
}

// Some elements of every gradient against what the loss does when they are moved.
void check_gradients(const description::Cell &cell, const Shape &shape) {
  Problem problem(cell, shape, 11);
  const Result result = run<double>(cell, {problem}, {}, true)[0];
  std::mt19937 random(5);
  const auto check = [&](const std::string &name, Values &values, const Values &gradient) {
    if (values.empty()) return;
    for (int i = 0; i < 6; ++i) {
      const size_t at = random() % values.size();
      const double before = values[at], step = 1e-6;
      values[at] = before + step;
      const double above = loss(cell, problem);
      values[at] = before - step;
      const double below = loss(cell, problem);
      values[at] = before;
      compare(cell.name + " " + text(shape) + ": differences of " + name, {gradient[at]},
              {(above - below) / (2 * step)}, 1e-6);
    }
  };
  check("x", problem.inputs, result.input_gradient);
  for (size_t i = 0; i < cell.states.size(); ++i) check("initial", problem.initial[i], result.initial_gradients[i]);
  for (int i = 0; i < cell.matrices; ++i) check("a matrix", problem.matrices[i], result.matrix_gradients[i]);
  const int64_t hidden = shape.hidden;
  for (size_t k = 0; k < cell.sums.size(); ++k) {
    if (cell.sums[k].vector >= 0) check("a vector", problem.vectors[cell.sums[k].vector], result.vector_gradients[k]);
    if (cell.sums[k].input < 0) continue;
    Values total(hidden, 0); // what is added to a value from x at every step has the sum of its gradients
    for (int64_t i = 0; i < problem.places * hidden; ++i)
      total[i % hidden] += result.input_gradient[(i / hidden * cell.inputs + cell.sums[k].input) * hidden + i % hidden];
    compare(cell.name + " " + text(shape) + ": a bias", result.vector_gradients[k], total, 1e-12);
  }
}

const std::vector<Way> ways = {
    {2, 2, false, 1, 0}, {2, 2, true, 1, 0},  {3, 3, false, 2, 0}, {3, 2, true, 2, 0},  {4, 3, true, 1, 2},
    {4, 1, true, 1, 0},  {5, 2, false, 1, 1}, {1, 1, true, 8, 0},  {1, 1, false, 4, 3},
};

// However a run is shared out, it computes the same; one direction or two side by side.
void check_ways(const description::Cell &cell, const Shape &shape) {
  Shape back = shape;
  back.reverse = true;
  const std::vector<Problem> problems = {Problem(cell, shape, 1), Problem(cell, back, 2)};
  const std::vector<Result> wanted = {run<double>(cell, {problems[0]}, {}, true)[0],
                                      run<double>(cell, {problems[1]}, {}, true)[0]};
  const auto check = [&](const auto &results, const Way &way, double tolerance, bool backward) {
    for (size_t p = 0; p < results.size(); ++p)
      compare(cell.name + " " + text(problems[p].shape) + " " + text(way), results[p], wanted[p], tolerance, backward);
  };
  for (const Way &way : ways) {
    check(run<double>(cell, problems, way, true), way, 1e-12, true);
    check(run<double>(cell, problems, way, false), way, 1e-12, false);
    check(run<float>(cell, {problems[0]}, way, true), way, 2e-4, true);
    check(run<float>(cell, {problems[0]}, way, false), way, 2e-4, false);
  }
}

template <class T> void check_product(int64_t rows, int64_t columns, int64_t depth, int options, int64_t slices) {
  const bool a_transposed = options & 1, b_transposed = options & 2, add = options & 4, bias = !add && options & 8;
  std::mt19937 random(3);
  const auto draw = [&](int64_t count) {
    std::vector<T> values(count);
    for (T &value : values) value = T(int(random() % 17) - 8); // small integers: every sum is exact
    return values;
  };
  const std::vector<T> a = draw(rows * depth), b = draw(depth * columns), biases = draw(columns),
                       before = draw(rows * columns);
  std::vector<T> c = before;
  if (!add) std::fill(c.begin(), c.end(), std::numeric_limits<T>::quiet_NaN());
  Values wanted(rows * columns);
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < columns; ++j) {
      double sum = add ? before[i * columns + j] : bias ? biases[j] : 0;
      for (int64_t k = 0; k < depth; ++k)
        sum += a[a_transposed ? k * rows + i : i * depth + k] * b[b_transposed ? j * depth + k : k * columns + j];
      wanted[i * columns + j] = sum;
    }
  gatewise::Gemm<T> product{};
  product.a = a.data(), product.b = b.data(), product.c = c.data();
  product.rows = rows, product.columns = columns, product.depth = depth;
  product.a_stride = a_transposed ? rows : depth, product.b_stride = b_transposed ? depth : columns;
  product.c_stride = columns;
  product.a_transposed = a_transposed, product.b_transposed = b_transposed, product.add = add;
  product.bias = bias ? biases.data() : nullptr;
  team_size = std::max<int64_t>(1, slices - 1);
  if constexpr (sizeof(T) == 4) gatewise_multiply_f32(&product, slices, team);
  else gatewise_multiply_f64(&product, slices, team);
  compare("product of " + std::to_string(rows) + " " + std::to_string(depth) + " " + std::to_string(columns) +
              " options " + std::to_string(options) + " slices " + std::to_string(slices),
          Values(c.begin(), c.end()), wanted, 0);
}

void check_products() {
  const int64_t sizes[][3] = {{1, 1, 1}, {3, 33, 5}, {7, 16, 64}, {130, 65, 31}, {5, 70, 1030}, {2, 200, 17}};
  for (const auto &size : sizes)
    for (int options = 0; options < 16; ++options)
      for (int64_t slices : {1, 2, 3}) {
        check_product<float>(size[0], size[1], size[2], options, slices);
        check_product<double>(size[0], size[1], size[2], options, slices);
      }
}

} // namespace

int main() {
  const std::vector<Shape> differentiated = {
      {1, 1, 1}, {4, 3, 5}, {5, 4, 3, true}, {4, 3, 5, false, true}, {5, 6, 9, true, true, true}};
  const std::vector<Shape> shapes = {
      {1, 1, 1},  {1, 3, 33}, {3, 2, 5}, {5, 9, 33, true}, {4, 7, 17, false, true}, {6, 11, 40, true, true},
      {2, 1, 70}, {2, 70, 3}};
  for (const description::Cell &cell : cells)
    for (const Shape &shape : differentiated) check_gradients(cell, shape);
  // Three callers at once, each with a team of its own.
  std::atomic<size_t> next{0};
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 3; ++caller)
    callers.emplace_back([&] {
      for (size_t task; (task = next++) < cells.size() * shapes.size();)
        check_ways(cells[task / shapes.size()], shapes[task % shapes.size()]);
    });
  for (std::thread &caller : callers) caller.join();
  check_products();
  std::printf("%lld comparisons, %d failures\n", (long long)comparisons.load(), failures.load());
  return failures != 0;
}
