// Row order and packed steps: longest row first, without padding, forward or backward in time.
#pragma once

#include "workspace.h"

#include <algorithm>
#include <numeric>

namespace gatewise {

// The part shared by both directions. Without lengths everything is null, and rows are the caller's.
struct RowOrder {
  int64_t steps, rows;
  const int64_t *lengths;   // (rows) in the caller's order, or null
  int64_t places;           // rows of a sequence array: the valid steps of all rows
  int64_t *caller, *length; // (rows): the caller's row of each, and its length
  int64_t *at, *active;     // (steps + 1), (steps): a step's first place, and how many rows it has

  // Places of −1: a length is not in [0, steps].
  RowOrder(int64_t steps, int64_t rows, const int64_t *lengths)
      : steps(steps), rows(rows), lengths(lengths), places(steps * rows), caller(nullptr), length(nullptr), at(nullptr),
        active(nullptr) {
    if (!lengths) return;
    if (std::any_of(lengths, lengths + rows, [&](int64_t own) { return own < 0 || own > steps; })) places = -1;
    else places = std::accumulate(lengths, lengths + rows, int64_t(0));
  }
  void take(Carver &work) {
    if (!lengths) return;
    caller = work.take<int64_t>(rows), length = work.take<int64_t>(rows);
    at = work.take<int64_t>(steps + 1), active = work.take<int64_t>(steps);
  }
  void make() const {
    if (!lengths) return;
    std::iota(caller, caller + rows, 0);
    // Equal lengths keep the caller's order. (std::stable_sort would allocate.)
    std::sort(caller, caller + rows,
              [&](int64_t a, int64_t b) { return lengths[a] != lengths[b] ? lengths[a] > lengths[b] : a < b; });
    for (int64_t r = 0; r < rows; ++r) length[r] = lengths[caller[r]];
    int64_t place = 0;
    for (int64_t s = 0, many = rows; s < steps; ++s) {
      while (many > 0 && length[many - 1] <= s) --many;
      at[s] = place, active[s] = many;
      place += many;
    }
    at[steps] = place;
  }

  int64_t length_of(int64_t r) const { return length ? length[r] : steps; }
  int64_t caller_of(int64_t r) const { return caller ? caller[r] : r; }

  // The places of the steps [begin, end) of a direction are contiguous, from `first_place` on.
  int64_t first_place(int64_t begin, int64_t end, bool reverse) const {
    return at ? at[begin] : (reverse ? steps - end : begin) * rows;
  }
  int64_t place_count(int64_t begin, int64_t end) const { return at ? at[end] - at[begin] : (end - begin) * rows; }
  int64_t most_places(int64_t most_steps) const { return std::min(places, most_steps * rows); }

  // Calls visit(place − first place, time, caller's row) for all places of some steps.
  template <class Visit> void each(int64_t begin, int64_t end, bool reverse, Visit visit) const {
    int64_t place = 0;
    for (int64_t k = begin; k < end; ++k) {
      const int64_t s = !at && reverse ? steps - 1 - (k - begin) - (steps - end) : k;
      const int64_t many = active ? active[s] : rows;
      for (int64_t r = 0; r < many; ++r) visit(place++, reverse ? length_of(r) - 1 - s : s, caller_of(r));
    }
  }
  // Calls visit(time, caller's row) for all steps of padding.
  template <class Visit> void each_padding(Visit visit) const {
    if (!lengths) return;
    for (int64_t b = 0; b < rows; ++b)
      for (int64_t t = lengths[b]; t < steps; ++t) visit(t, b);
  }
};

// (steps + 1, rows): whether nothing flows between a row's own steps s − 1 and s of one direction. Reversed, a boundary
// between t − 1 and t is crossed after step t, and the last one after the row's end.
inline void cut_rows(const RowOrder &order, bool reverse, const uint8_t *reset, int64_t step_stride, int64_t row_stride,
                     uint8_t *cut) {
  for (int64_t s = 0; s <= order.steps; ++s)
    for (int64_t r = 0; r < order.rows; ++r) {
      const int64_t own = order.length_of(r), time = reverse ? own - s : s;
      cut[s * order.rows + r] = time >= 0 && time < own && reset[time * step_stride + order.caller_of(r) * row_stride];
    }
}

} // namespace gatewise
