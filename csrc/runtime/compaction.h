// Steps that are skipped: the valid steps of each row are moved to its front, where lengths and resets say the same,
// and the output is put where the caller has them; as gatewise/layers/masking.py does.
#pragma once

#include "runtime/recurrence.h"

namespace gatewise {

class Compaction {
public:
  void carve(Carver &memory, const Limits &limits) {
    const int64_t places = limits.chunk * limits.batch;
    step = memory.take<int64_t>(places);
    length = memory.take<int64_t>(limits.batch);
    reset = memory.take<uint8_t>(places);
    resets_at_end = memory.take<uint8_t>(limits.batch);
  }

  // mask: (T, B). lengths, boundaries: those of the call, or null.
  void make(int64_t of_steps, int64_t of_rows, const uint8_t *mask, const int64_t *lengths, const uint8_t *boundaries) {
    steps = of_steps, rows = of_rows, ends = lengths, resets = boundaries;
    for (int64_t b = 0; b < rows; ++b) {
      int64_t count = 0;
      bool crossed = false; // a boundary since the last valid step
      for (int64_t t = 0; t < end_of(b); ++t) {
        crossed = crossed || is_reset(t, b);
        if (!mask[t * rows + b]) continue;
        step[count * rows + b] = t, reset[count * rows + b] = crossed;
        ++count, crossed = false;
      }
      length[b] = count, resets_at_end[b] = crossed;
      for (int64_t k = count; k < steps; ++k) reset[k * rows + b] = 0;
    }
  }

  // (T, B, width) of the caller's with the valid steps in front.
  template <class T> void move(const T *from, int64_t width, T *to) const {
    for (int64_t b = 0; b < rows; ++b)
      for (int64_t k = 0; k < length[b]; ++k)
        std::copy_n(from + (step[k * rows + b] * rows + b) * width, width, to + (k * rows + b) * width);
  }

  // One direction of an output in the caller's order: zero at skipped steps, or the state as it is there. `initial`:
  // (B, H) before the first step in the direction; null: zero.
  template <class T>
  void restore(const T *from, int64_t from_width, int64_t hidden, bool repeat, bool from_end, const T *initial, T *to,
               int64_t to_width) const {
    for (int64_t b = 0; b < rows; ++b) {
      const int64_t end = end_of(b);
      for (int64_t t = end; t < steps; ++t) std::fill_n(to + (t * rows + b) * to_width, hidden, T(0));
      const T *before = initial ? initial + b * hidden : nullptr; // the state; null: zero
      int64_t k = from_end ? length[b] - 1 : 0;
      for (int64_t s = 0; s < end; ++s) {
        const int64_t t = from_end ? end - 1 - s : s;
        if (!from_end && is_reset(t, b)) before = nullptr;
        const bool valid = k >= 0 && k < length[b] && step[k * rows + b] == t;
        if (valid) before = from + (k * rows + b) * from_width, k += from_end ? -1 : 1;
        T *const target = to + (t * rows + b) * to_width;
        if (before && (valid || repeat)) std::copy_n(before, hidden, target);
        else std::fill_n(target, hidden, T(0));
        if (from_end && is_reset(t, b)) before = nullptr;
      }
    }
  }

  int64_t *length;        // (B)
  uint8_t *reset;         // (T, B) of the moved steps
  uint8_t *resets_at_end; // (B): a boundary follows the last valid step

private:
  int64_t steps, rows, *step; // step: (T, B), the caller's step of each moved one
  const int64_t *ends;
  const uint8_t *resets;

  int64_t end_of(int64_t b) const { return ends ? ends[b] : steps; }
  bool is_reset(int64_t t, int64_t b) const { return resets && resets[t * rows + b]; }
};

} // namespace gatewise
