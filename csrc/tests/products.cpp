// Drives the engine's products, packing and sums of squares on small integers, of which every sum is exact.
#include "call.h"
#include "check.h"
#include "dot.h"
#include "norms.h"

#include <bit>

namespace {

struct Size {
  int64_t rows, columns, depth;
};

// The rows of all three matrices stand `gap` numbers apart, and nothing but those of c may be written.
// Small integers are exact in bfloat16, too.
template <class T>
void check_product(const Size &size, int options, int64_t gap, int64_t slices, bool paired = false) {
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
  gatewise::Gemm<T> product{};
  product.a = a.data(), product.b = b.data(), product.c = c.data();
  product.rows = rows, product.columns = columns, product.depth = depth;
  product.a_stride = a_stride, product.b_stride = b_stride, product.c_stride = c_stride;
  product.a_transposed = a_transposed, product.b_transposed = b_transposed, product.add = add;
  product.bias = bias ? biases.data() : nullptr, product.paired = paired;
  std::vector<T> whole(slices == 2 ? gatewise::whole_packed_size(product) : 0, std::numeric_limits<T>::quiet_NaN());
  if (slices == 2) gatewise::pack_whole(product, whole.data()), product.packed = whole.data();
  std::vector<T> scratch(gatewise::gemm_scratch(product) * slices, std::numeric_limits<T>::quiet_NaN());
  gatewise::SharedProduct<T> shared{product, slices, scratch.data()};
  gatewise::spread(shared, slices, std::max<int64_t>(1, slices - 1), team);
  compare("product of " + std::to_string(rows) + " " + std::to_string(depth) + " " + std::to_string(columns) +
              " options " + std::to_string(options) + " gap " + std::to_string(gap) + " slices " +
              std::to_string(slices) + " bytes " + std::to_string(sizeof(T)) + (paired ? " paired" : ""),
          Values(c.begin(), c.end()), wanted, 0);
}

// Around the sizes of a register, a strip, a tile, a panel, a sum in turn and a block of the depth.
void check_products() {
  constexpr int64_t panel = gatewise::panel_rows, turn = gatewise::short_sum, block = gatewise::depth_block;
  const Size sizes[] = {{1, 1, 1},
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
                        {2, 600, 7}};
  for (const Size &size : sizes)
    for (int options = 0; options < 12; ++options) // with and without b's and a's transposition: plain, add, bias
      for (int64_t slices : {1, 2, 3}) {
        check_product<float>(size, options, slices % 2 ? 3 : 0, slices);
        check_product<float>(size, options, slices % 2 ? 0 : 3, slices, true);
        check_product<double>(size, options, slices % 2 ? 0 : 3, slices);
      }
}

// The numbers that pairs hold, one after the other.
template <class T> Values numbers_of_pairs(const std::vector<T> &pairs) {
  Values all;
  for (T value : pairs) {
    const uint32_t both = std::bit_cast<uint32_t>(float(value));
    for (uint32_t bits : {both << 16, both & gatewise::bfloat16::upper}) all.push_back(std::bit_cast<float>(bits));
  }
  return all;
}

// Blocks by strips of units, in each depth after depth, then block after block; zeros beyond the last unit. In pairs
// the depths 2p and 2p + 1 of a block are the halves of one number, and after the last one is zero.
template <class T>
void check_packing(int64_t count, int64_t hidden, int64_t depth, int64_t group, bool transposed, int64_t slices,
                   bool paired = false) {
  std::vector<std::vector<T>> blocks;
  std::vector<const T *> addresses;
  for (int64_t o = 0; o < count; ++o) blocks.push_back(integers<T>(hidden * depth, unsigned(o)));
  for (const std::vector<T> &block : blocks) addresses.push_back(block.data());
  // Transposed, the blocks follow each other in the depth.
  const int64_t strips = (hidden + group - 1) / group;
  const int64_t deep = paired ? gatewise::bfloat16::pairs(depth) : depth;
  std::vector<T> packed(strips * group * deep * count, std::numeric_limits<T>::quiet_NaN());
  const int64_t halves = paired ? 2 : 1;
  Values wanted(packed.size() * halves, 0);
  for (int64_t o = 0; o < count; ++o)
    for (int64_t u = 0; u < hidden; ++u)
      for (int64_t k = 0; k < depth; ++k) {
        const int64_t strip = u / group * group * deep * count, lane = u % group;
        const int64_t at = strip + lane + group * (transposed ? o * deep + k / halves : k / halves * count + o);
        wanted[at * halves + k % halves] = blocks[o][transposed ? k * hidden + u : u * depth + k];
      }
  gatewise::Packing<T> packing{addresses.data(), count,  hidden, depth,         group,
                               transposed,       paired, 0,      packed.data(), slices};
  gatewise::spread(packing, slices, slices, team);
  compare("packing " + std::to_string(count) + " of " + std::to_string(hidden) + " " + std::to_string(depth) + " by " +
              std::to_string(group) + (transposed ? " transposed" : "") + (paired ? " paired" : "") + " bytes " +
              std::to_string(sizeof(T)),
          paired ? numbers_of_pairs(packed) : Values(packed.begin(), packed.end()), wanted, 0);
}

template <class T> void check_packings() {
  for (int64_t count : {1, 3})
    for (int64_t hidden : {1, 7, 16, 33, 64})
      for (int64_t group : {gatewise::lanes<T>, 2 * gatewise::lanes<T>}) {
        for (int64_t slices : {1, 2, 3}) {
          for (bool paired : {false, true}) {
            if (paired && sizeof(T) == 8) continue;
            for (int64_t depth : {1, 5, 16, 35, 131})
              check_packing<T>(count, hidden, depth, group, false, slices, paired);
            check_packing<T>(count, hidden, hidden, group, true, slices, paired);
          }
        }
      }
}

// Rows of weights where they are times a vector: of every length around a register's and four registers'.
template <class T> void check_dots() {
  for (int64_t length = 0; length <= 9 * gatewise::lanes<T>; ++length)
    for (int64_t count : {0, 1, 3, 4, 7, 8, 9}) {
      const std::vector<T> weights = integers<T>(count * length, 1), values = integers<T>(length, 2);
      const std::vector<T> start = integers<T>(count, 3);
      for (bool starts : {false, true}) {
        std::vector<T> to(count, std::numeric_limits<T>::quiet_NaN());
        Values wanted(count, 0);
        for (int64_t u = 0; u < count; ++u) {
          for (int64_t k = 0; k < length; ++k) wanted[u] += weights[u * length + k] * values[k];
          if (starts) wanted[u] += start[u];
        }
        gatewise::dots(weights.data(), values.data(), length, count, starts ? start.data() : nullptr, to.data());
        compare("dots of " + std::to_string(count) + " " + std::to_string(length) + " bytes " +
                    std::to_string(sizeof(T)),
                Values(to.begin(), to.end()), wanted, 0);
      }
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
      gatewise::Changes<T> all{changes.data(), count, slices};
      gatewise::spread(all, slices, std::max<int64_t>(1, slices - 1), team);
      compare("changes of " + std::to_string(length), Values(norms.begin(), norms.end()), wanted, 0);
    }
}

} // namespace

int main() {
  check_products();
  check_packings<float>();
  check_packings<double>();
  check_dots<float>();
  check_dots<double>();
  check_changes<float>();
  check_changes<double>();
  return report();
}
