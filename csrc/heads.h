// Matrices that are divided into heads: block-diagonal, a unit reads the units of its own head alone. They are stored
// as (H, H/n), the row of a unit having the weights of the units of its head.
#pragma once

#include <algorithm>
#include <cstdint>

namespace gatewise {

// Units of an operand.
struct Band {
  int64_t first, depth;
};

// The units that strips of a divided matrix read: of all heads that a strip meets. Weights are packed for the whole
// band, and are zero between a unit and those of other heads; no strip reads more than its neighbours, where heads are
// as wide as strips or several of them.
struct Bands {
  int64_t head, units, group; // units of a head, of all, of a strip
  int64_t aligned;            // bands begin at a multiple of this

  Band of(int64_t strip) const {
    const int64_t first = strip * group, last = std::min(first + group, units) - 1;
    const int64_t begin = first / head * head / aligned * aligned, end = (last / head + 1) * head;
    return {begin, end - begin};
  }
  int64_t widest() const {
    int64_t most = 0;
    for (int64_t s = 0; s * group < units; ++s) most = std::max(most, of(s).depth);
    return most;
  }
  // Calls visit(first, last) for the units of a strip, head by head.
  template <class Visit> void each_head(int64_t strip, Visit visit) const {
    const int64_t end = std::min((strip + 1) * group, units);
    for (int64_t from = strip * group, to; from < end; from = to) {
      to = std::min((from / head + 1) * head, end);
      visit(from, to);
    }
  }
};

} // namespace gatewise
