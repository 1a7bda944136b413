// In which order rows and steps are processed: longest row first, no step of padding, either way through time.
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>

namespace gatewise {

// Every address but those of lengths and of resets is written to. Without lengths nothing is but `cut`, and without
// resets `cut` is not.
struct Ordering {
  int64_t steps, rows, reverse;
  const int64_t *lengths;   // (rows) in the caller's order; null: steps
  const int64_t *sorted_by; // (rows): longest first by these, of which `lengths` may be a part of
  const uint8_t *reset;     // (steps, rows) in the caller's order; or null
  int64_t *caller, *length; // (rows): the caller's row of each, and its length
  int64_t *at, *active;     // (steps): a step's first place, and how many rows it has
  int64_t *index;           // (steps · rows): by place the row of the caller's (steps · rows); then those of padding
  uint8_t *cut;             // (steps + 1, rows): whether nothing flows between a row's own steps s − 1 and s

  // How many places there are; −1 when a length is none of [0, steps].
  int64_t make() const {
    if (lengths && std::any_of(lengths, lengths + rows, [&](int64_t own) { return own < 0 || own > steps; })) return -1;
    const int64_t places = lengths ? sort() : steps * rows;
    if (reset) cut_rows();
    return places;
  }

private:
  int64_t sort() const {
    std::iota(caller, caller + rows, 0);
    std::stable_sort(caller, caller + rows, [&](int64_t a, int64_t b) { return sorted_by[a] > sorted_by[b]; });
    for (int64_t r = 0; r < rows; ++r) length[r] = lengths[caller[r]];
    int64_t places = 0;
    for (int64_t s = 0, many = rows; s < steps; ++s) {
      while (many > 0 && length[many - 1] <= s) --many;
      at[s] = places, active[s] = many;
      places += many;
    }
    int64_t *inside = index, *beyond = index + places;
    for (int64_t s = 0; s < steps; ++s) {
      for (int64_t r = 0; r < active[s]; ++r) *inside++ = (reverse ? length[r] - 1 - s : s) * rows + caller[r];
      for (int64_t r = active[s]; r < rows; ++r) *beyond++ = s * rows + caller[r];
    }
    return places;
  }

  // Reversed, a boundary between t − 1 and t is crossed after step t, and the last one after the row's end.
  void cut_rows() const {
    for (int64_t s = 0; s <= steps; ++s)
      for (int64_t r = 0; r < rows; ++r) {
        const int64_t own = lengths ? length[r] : steps, time = reverse ? own - s : s;
        cut[s * rows + r] = time >= 0 && time < own && reset[time * rows + (lengths ? caller[r] : r)];
      }
  }
};

} // namespace gatewise
