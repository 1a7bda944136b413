// Drives the engine from C++ over every cell that it is built with, with a thread pool of its own, so that the
// sanitizers see all of it: odd sizes, both splits, x multiplied before and in the steps, teams smaller than asked,
// several callers at once, lengths, cuts, steps in several calls.
#include "run.h"

#include <cstdio>
#include <mutex>

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
  return "T " + std::to_string(shape.steps) + " B " + std::to_string(shape.rows) + " I " +
         std::to_string(shape.inputs) + " H " + std::to_string(shape.hidden) + (shape.ragged ? " ragged" : "") +
         (shape.cut ? " cut" : "") + (shape.reverse ? " reverse" : "");
}
std::string text(const Way &way) {
  return std::to_string(way.slices) + " slices of " + (way.split_units ? "units" : "rows") + " on " +
         std::to_string(way.team) + ", blocks " + std::to_string(way.blocks) + ", chunk " + std::to_string(way.chunk) +
         (way.fused ? ", x in the steps" : "");
}

void compare(const std::string &what, const Result &got, const Result &wanted, double tolerance, bool backward) {
  compare(what + ": output", got.output, wanted.output, tolerance);
  compare(what + ": between rows of the output", {double(got.intact)}, {1}, 0);
  const auto each = [&](const char *name, const std::vector<Values> &a, const std::vector<Values> &b) {
    for (size_t i = 0; i < b.size(); ++i) compare(what + ": " + name + " " + std::to_string(i), a[i], b[i], tolerance);
  };
  each("final", got.finals, wanted.finals);
  if (!backward) return;
  compare(what + ": gradient of x", got.x_gradient, wanted.x_gradient, tolerance);
  compare(what + ": gradient of values from x", got.value_gradient, wanted.value_gradient, tolerance);
  each("gradient of matrix of x", got.input_matrix_gradients, wanted.input_matrix_gradients);
  each("gradient of initial", got.initial_gradients, wanted.initial_gradients);
  each("gradient of matrix", got.matrix_gradients, wanted.matrix_gradients);
  each("gradient of vector", got.vector_gradients, wanted.vector_gradients);
  compare(what + ": norms of gradients of states", got.norms, wanted.norms, tolerance);
  compare(what + ": norms beside the gradients", got.norms, got.norms_of_gradients, 1e-6);
}

double loss(const description::Cell &cell, const Problem &problem, const Way &way) {
  const Result result = run<double>(cell, {problem}, way, false)[0];
  double sum = 0;
  for (size_t i = 0; i < result.output.size(); ++i) sum += result.output[i] * problem.output_gradient[i];
  for (size_t k = 0; k < result.finals.size(); ++k)
    for (size_t i = 0; i < result.finals[k].size(); ++i) sum += result.finals[k][i] * problem.final_gradients[k][i];
  return sum;
}

// Some elements of every gradient against what the loss does when they are moved.
void check_gradients(const description::Cell &cell, const Shape &shape, bool fused) {
  Problem problem(cell, shape, 11);
  Way way;
  way.fused = fused;
  const Result result = run<double>(cell, {problem}, way, true)[0];
  std::mt19937 random(5);
  const auto check = [&](const std::string &name, Values &values, const Values &gradient) {
    if (values.empty()) return;
    for (int i = 0; i < 6; ++i) {
      const size_t at = random() % values.size();
      const double before = values[at], step = 1e-6;
      values[at] = before + step;
      const double above = loss(cell, problem, way);
      values[at] = before - step;
      const double below = loss(cell, problem, way);
      values[at] = before;
      compare(cell.name + " " + text(shape) + " " + text(way) + ": differences of " + name, {gradient[at]},
              {(above - below) / (2 * step)}, 1e-6);
    }
  };
  check("x", problem.x, result.x_gradient);
  for (int i = 0; i < cell.inputs(); ++i)
    check("a matrix of x", problem.input_matrices[i], result.input_matrix_gradients[i]);
  for (size_t i = 0; i < cell.states.size(); ++i) check("initial", problem.initial[i], result.initial_gradients[i]);
  for (int i = 0; i < cell.matrices; ++i) check("a matrix", problem.matrices[i], result.matrix_gradients[i]);
  for (size_t k = 0; k < cell.sums.size(); ++k) {
    if (cell.sums[k].vector >= 0) check("a vector", problem.vectors[cell.sums[k].vector], result.vector_gradients[k]);
    if (cell.sums[k].input < 0) continue;
    check("a bias", problem.biases[cell.sums[k].input], result.vector_gradients[k]);
  }
}

// Each is tried with x multiplied before the steps and in them.
const std::vector<Way> ways = {
    {2, 2, false, 1, 0}, {2, 2, true, 1, 0},  {3, 3, false, 2, 0}, {3, 2, true, 2, 0},  {4, 3, true, 1, 2},
    {4, 1, true, 1, 0},  {5, 2, false, 1, 1}, {1, 1, true, 8, 0},  {1, 1, false, 4, 3},
};

// However a run is shared out, and wherever x is multiplied, it computes the same; one direction or two side by side.
// Every third way from `first` on: a cell meets all of them with some shapes.
void check_ways(const description::Cell &cell, const Shape &shape, size_t first) {
  Shape back = shape;
  back.reverse = true;
  const std::vector<Problem> problems = {Problem(cell, shape, 1), Problem(cell, back, 2)};
  const std::vector<Result> wanted = {run<double>(cell, {problems[0]}, {}, true)[0],
                                      run<double>(cell, {problems[1]}, {}, true)[0]};
  const auto check = [&](const auto &results, const Way &way, double tolerance, bool backward) {
    for (size_t p = 0; p < results.size(); ++p)
      compare(cell.name + " " + text(problems[p].shape) + " " + text(way), results[p], wanted[p], tolerance, backward);
  };
  for (size_t at = first; at < ways.size(); at += 3)
    for (bool fused : {false, true}) {
      Way way = ways[at];
      way.fused = fused;
      check(run<double>(cell, problems, way, true), way, 1e-12, true);
      check(run<double>(cell, problems, way, false), way, 1e-12, false);
      check(run<float>(cell, {problems[0]}, way, true), way, 2e-4, true);
      check(run<float>(cell, {problems[0]}, way, false), way, 2e-4, false);
    }
}

// Small integers: every sum is exact, in any order.
template <class T> std::vector<T> integers(int64_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<T> values(count);
  for (T &value : values) value = T(int(random() % 17) - 8);
  return values;
}

struct Size {
  int64_t rows, columns, depth;
};

// The rows of all three matrices stand `gap` numbers apart, and nothing but those of c may be written.
template <class T> void check_product(const Size &size, int options, int64_t gap, int64_t slices) {
  const auto [rows, columns, depth] = size;
  const bool a_transposed = options & 1, b_transposed = options & 2, add = options & 4, bias = options & 8;
  const int64_t a_stride = (a_transposed ? rows : depth) + gap, b_stride = (b_transposed ? depth : columns) + gap;
  const int64_t c_stride = columns + gap;
  const std::vector<T> a = integers<T>((a_transposed ? depth : rows) * a_stride - gap, 1);
  const std::vector<T> b = integers<T>((b_transposed ? columns : depth) * b_stride - gap, 2);
  const std::vector<T> biases = integers<T>(columns, 3), before = integers<T>(rows * c_stride - gap, 4);
  std::vector<T> c = before;
  Values wanted(before.begin(), before.end());
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < columns; ++j) {
      double sum = add ? before[i * c_stride + j] : bias ? biases[j] : 0;
      for (int64_t k = 0; k < depth; ++k)
        sum += a[a_transposed ? k * a_stride + i : i * a_stride + k] *
               b[b_transposed ? j * b_stride + k : k * b_stride + j];
      wanted[i * c_stride + j] = sum;
      if (!add) c[i * c_stride + j] = std::numeric_limits<T>::quiet_NaN();
    }
  gatewise::Gemm<T> product{a.data(),
                            b.data(),
                            c.data(),
                            rows,
                            columns,
                            depth,
                            a_stride,
                            b_stride,
                            c_stride,
                            a_transposed,
                            b_transposed,
                            add,
                            bias ? biases.data() : nullptr};
  team_size = std::max<int64_t>(1, slices - 1);
  if (Engine<T>::multiply(&product, slices, team)) throw std::bad_alloc();
  compare("product of " + std::to_string(rows) + " " + std::to_string(depth) + " " + std::to_string(columns) +
              " options " + std::to_string(options) + " gap " + std::to_string(gap) + " slices " +
              std::to_string(slices) + " bytes " + std::to_string(sizeof(T)),
          Values(c.begin(), c.end()), wanted, 0);
}

// Around the sizes of a register, a strip, a tile, a panel, a sum in turn and a block of the depth.
void check_products() {
  constexpr int64_t panel = gatewise::panel_rows, turn = gatewise::short_sum, block = gatewise::depth_block;
  const Size sizes[] = {
      {1, 1, 1},
      {3, 5, 2},
      {7, 16, 64},
      {2, 3, turn - 1},
      {5, 64, turn},
      {6, 63, turn + 1},
      {9, 130, 2 * turn + 1},
      {panel - 1, 65, 31},
      {panel, 32, 17},
      {panel + 1, 33, 5},
      {2 * panel + 1, 70, 3},
      {panel + 4, 17, block + 1},
      {3, 70, block - 1},
      {4, 31, block},
      {5, 9, 2 * block + turn + 1},
      {2, 600, 7},
  };
  for (const Size &size : sizes)
    for (int options = 0; options < 12; ++options) // with and without b's and a's transposition: plain, add, bias
      for (int64_t slices : {1, 2, 3}) {
        check_product<float>(size, options, slices % 2 ? 3 : 0, slices);
        check_product<double>(size, options, slices % 2 ? 0 : 3, slices);
      }
}

// Blocks by strips of units, in each depth after depth, then block after block; zeros beyond the last unit.
template <class T> void check_packing(int64_t count, int64_t hidden, int64_t depth, int64_t group, bool transposed,
                                      int64_t slices) {
  std::vector<std::vector<T>> blocks;
  std::vector<const T *> addresses;
  for (int64_t o = 0; o < count; ++o) blocks.push_back(integers<T>(hidden * depth, unsigned(o)));
  for (const std::vector<T> &block : blocks) addresses.push_back(block.data());
  // Transposed, the blocks follow each other in the depth.
  const int64_t strips = (hidden + group - 1) / group;
  std::vector<T> packed(strips * group * depth * count, std::numeric_limits<T>::quiet_NaN());
  Values wanted(packed.size(), 0);
  for (int64_t o = 0; o < count; ++o)
    for (int64_t u = 0; u < hidden; ++u)
      for (int64_t k = 0; k < depth; ++k) {
        const int64_t strip = u / group * group * depth * count, lane = u % group;
        if (transposed) wanted[strip + (o * depth + k) * group + lane] = blocks[o][k * hidden + u];
        else wanted[strip + (k * count + o) * group + lane] = blocks[o][u * depth + k];
      }
  const gatewise::Packing<T> packing{addresses.data(), count, hidden, depth, group, transposed, packed.data(), slices};
  Engine<T>::pack(&packing, team);
  compare("packing " + std::to_string(count) + " of " + std::to_string(hidden) + " " + std::to_string(depth) + " by " +
              std::to_string(group) + (transposed ? " transposed" : "") + " bytes " + std::to_string(sizeof(T)),
          Values(packed.begin(), packed.end()), wanted, 0);
}

template <class T> void check_packings() {
  for (int64_t count : {1, 3})
    for (int64_t hidden : {1, 7, 16, 33, 64})
      for (int64_t group : {gatewise::lanes<T>, 2 * gatewise::lanes<T>}) {
        for (int64_t slices : {1, 2, 3}) {
          for (int64_t depth : {1, 5, 16, 35}) check_packing<T>(count, hidden, depth, group, false, slices);
          check_packing<T>(count, hidden, hidden, group, true, slices);
        }
      }
}

// Of no vector, of one and of several, into memory of its own and into the first.
template <class T> void check_sums() {
  for (int64_t length : {1, 7, 64, 65})
    for (size_t count : {0, 1, 2, 3})
      for (bool own : {true, false}) {
        if (count == 0 && !own) continue;
        std::vector<std::vector<T>> parts;
        std::vector<const T *> addresses;
        Values wanted(length, 0);
        for (size_t k = 0; k < count; ++k) parts.push_back(integers<T>(length, unsigned(k)));
        for (const std::vector<T> &part : parts) {
          addresses.push_back(part.data());
          for (int64_t i = 0; i < length; ++i) wanted[i] += part[i];
        }
        std::vector<T> room(length, std::numeric_limits<T>::quiet_NaN());
        T *const to = own ? room.data() : parts[0].data();
        const gatewise::Sum<T> sum{to, length, int64_t(count), addresses.data()};
        Engine<T>::add_up(&sum, 1);
        compare("sum of " + std::to_string(count) + " of " + std::to_string(length), Values(to, to + length), wanted,
                0);
      }
}

// By its definition, step by step; also of a part of longer rows.
void check_orders() {
  for (unsigned seed = 0; seed < 200; ++seed) {
    std::mt19937 random(seed);
    const int64_t steps = 1 + random() % 6, rows = 1 + random() % 5, places = steps * rows;
    const bool ragged = seed % 3, resets = seed % 2, reverse = seed % 5 > 2;
    std::vector<int64_t> whole(rows), lengths(rows, steps);
    for (int64_t r = 0; r < rows; ++r) {
      whole[r] = random() % (2 * steps);
      if (ragged) lengths[r] = std::min(whole[r], steps);
    }
    std::vector<uint8_t> reset(places), cut((steps + 1) * rows, 7);
    for (uint8_t &one : reset) one = random() % 2;
    std::vector<int64_t> caller(rows, -1), length(rows, -1), at(steps, -1), active(steps, -1), index(places, -1);
    const gatewise::Ordering ordering{steps,         rows,
                                      reverse,       ragged ? lengths.data() : nullptr,
                                      whole.data(),  resets ? reset.data() : nullptr,
                                      caller.data(), length.data(),
                                      at.data(),     active.data(),
                                      index.data(),  cut.data()};
    const int64_t count = gatewise_order(&ordering);
    const auto check = [&](const char *what, const auto &got, const Values &wanted) {
      compare("order " + std::to_string(seed) + ": " + what, Values(got.begin(), got.end()), wanted, 0);
    };
    std::vector<int64_t> sorted(rows);
    std::iota(sorted.begin(), sorted.end(), 0);
    if (ragged)
      std::stable_sort(sorted.begin(), sorted.end(), [&](int64_t a, int64_t b) { return whole[a] > whole[b]; });
    Values lengths_wanted, at_wanted, active_wanted, index_wanted, padding, cut_wanted;
    for (int64_t s = 0; s <= steps; ++s) {
      if (s < steps) at_wanted.push_back(index_wanted.size());
      for (const int64_t row : sorted) {
        const int64_t time = reverse ? lengths[row] - s : s;
        cut_wanted.push_back(time >= 0 && time < lengths[row] && reset[time * rows + row]);
        if (s == steps) continue;
        if (s < lengths[row]) index_wanted.push_back((reverse ? lengths[row] - 1 - s : s) * rows + row);
        else padding.push_back(s * rows + row);
      }
      if (s < steps) active_wanted.push_back(index_wanted.size() - at_wanted.back());
    }
    check("places", std::vector<int64_t>{count}, {double(index_wanted.size())});
    if (resets) check("cut", cut, cut_wanted);
    if (!ragged) continue;
    for (const int64_t row : sorted) lengths_wanted.push_back(lengths[row]);
    index_wanted.insert(index_wanted.end(), padding.begin(), padding.end());
    check("caller", caller, Values(sorted.begin(), sorted.end()));
    check("length", length, lengths_wanted);
    check("at", at, at_wanted);
    check("active", active, active_wanted);
    check("index", index, index_wanted);
  }
}

// Several at once, on more and on fewer threads.
template <class T> void check_changes() {
  for (int64_t length : {0, 1, 15, 16, 33, 100})
    for (int64_t slices : {1, 2, 3}) {
      const int64_t count = 3;
      const std::vector<T> gradient = integers<T>(count * length, 1), after = integers<T>(count * length, 2),
                           before = integers<T>(count * length, 3);
      std::vector<T> norms(3 * count, std::numeric_limits<T>::quiet_NaN());
      std::vector<gatewise::Change<T>> changes;
      Values wanted(3 * count, 0);
      for (int64_t c = 0; c < count; ++c) {
        const int64_t from = c * length;
        changes.push_back(
            {norms.data() + c, count, gradient.data() + from, after.data() + from, before.data() + from, length});
        for (int64_t i = from; i < from + length; ++i) {
          wanted[c] += gradient[i] * gradient[i];
          wanted[count + c] += (after[i] - before[i]) * (after[i] - before[i]);
          wanted[2 * count + c] += before[i] * before[i];
        }
      }
      for (double &norm : wanted) norm = T(std::sqrt(norm));
      team_size = std::max<int64_t>(1, slices - 1);
      Engine<T>::measure(changes.data(), count, slices, team);
      compare("changes of " + std::to_string(length), Values(norms.begin(), norms.end()), wanted, 0);
    }
}

// Rows gathered, scattered and cleared; what stands between them stays.
void check_row_copies() {
  for (int64_t count : {0, 1, 6, 41})
    for (int64_t width : {1, 9})
      for (int64_t slices : {1, 2, 5}) {
        std::vector<int64_t> index(2 * count);
        std::iota(index.begin(), index.end(), 0);
        std::shuffle(index.begin(), index.end(), std::mt19937(unsigned(count)));
        index.resize(count);
        const int64_t size = sizeof(float), stride = width + 2;
        const std::vector<float> whole = integers<float>(2 * count * stride, 1);
        std::vector<float> rows(count * width), back = whole;
        Values wanted(whole.begin(), whole.end()), picked;
        for (int64_t i : index)
          for (int64_t u = 0; u < width; ++u) {
            picked.push_back(whole[i * stride + u]);
            wanted[i * stride + u] = 0;
          }
        const auto copy = [&](const float *from, float *to, int64_t from_stride, int64_t to_stride,
                              const int64_t *from_index, const int64_t *to_index) {
          const gatewise::RowCopy copies{reinterpret_cast<const char *>(from),
                                         reinterpret_cast<char *>(to),
                                         from_stride * size,
                                         to_stride * size,
                                         width * size,
                                         from_index,
                                         to_index,
                                         count};
          team_size = std::max<int64_t>(1, slices - 1);
          gatewise_copy_rows(&copies, slices, team);
        };
        const std::string name =
            "rows " + std::to_string(count) + " " + std::to_string(width) + " slices " + std::to_string(slices);
        copy(whole.data(), rows.data(), stride, width, index.data(), nullptr);
        compare(name + " gathered", Values(rows.begin(), rows.end()), picked, 0);
        copy(nullptr, back.data(), 0, stride, nullptr, index.data());
        compare(name + " cleared", Values(back.begin(), back.end()), wanted, 0);
        copy(rows.data(), back.data(), width, stride, nullptr, index.data());
        compare(name + " scattered", Values(back.begin(), back.end()), Values(whole.begin(), whole.end()), 0);
      }
}

} // namespace

int main() {
  const std::vector<Shape> differentiated = {
      {1, 1, 1, 1}, {4, 3, 2, 5}, {5, 4, 6, 3, true}, {4, 3, 1, 5, false, true}, {5, 6, 4, 9, true, true, true}};
  const std::vector<Shape> shapes = {{1, 1, 1, 1},
                                     {1, 3, 20, 33},
                                     {3, 2, 3, 5},
                                     {5, 9, 7, 33, true},
                                     {4, 7, gatewise::short_sum + 3, 17, false, true},
                                     {6, 11, 16, 40, true, true},
                                     {2, 1, 2, 70},
                                     {2, 70, 5, 3}};
  for (const description::Cell &cell : description::cells)
    for (const Shape &shape : differentiated)
      for (bool fused : {false, true}) check_gradients(cell, shape, fused);
  // Three callers at once, each with a team of its own.
  std::atomic<size_t> next{0};
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 3; ++caller)
    callers.emplace_back([&] {
      for (size_t task; (task = next++) < description::cells.size() * shapes.size();) {
        const size_t cell = task / shapes.size(), shape = task % shapes.size();
        check_ways(description::cells[cell], shapes[shape], (cell + shape) % 3);
      }
    });
  for (std::thread &caller : callers) caller.join();
  check_row_copies();
  check_products();
  check_packings<float>();
  check_packings<double>();
  check_sums<float>();
  check_sums<double>();
  check_orders();
  check_changes<float>();
  check_changes<double>();
  std::printf("%lld comparisons, %d failures\n", (long long)comparisons.load(), failures.load());
  return failures != 0;
}
