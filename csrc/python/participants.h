// How many threads a call runs on while other programs use the processors. It never changes the partition, nor the
// bits.
#pragma once

#include "contention.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <mutex>
#include <utility>

namespace gatewise::python {

// Calls of this process, one after the other. Where a team took as long as half of it would have alone, twice in a row,
// half of it runs the next calls. After a pause twice as many are tried; the pause doubles where that was too early.
class Participants {
public:
  struct Turn {
    int64_t workers;
    bool measured, attempt; // attempt: more threads than the last calls had
  };

  // Of a call that may have `most` threads.
  Turn next(int64_t most) {
    if (most < 2) return {most, false, false};
    const std::lock_guard<std::mutex> guard(mutex);
    if (limit >= most) return {most, slow || calls++ % measured_every == 0, false};
    if (WallClock::now() < resume) return {limit, false, false};
    return {std::min(most, 2 * limit), true, true};
  }

  void report(const Turn &turn, const gatewise_team &took) {
    if (!turn.measured || took.seconds <= 0) return; // one thread ran it all
    const std::lock_guard<std::mutex> guard(mutex);
    const bool loses = double(turn.workers / 2) * took.seconds > took.alone;
    if (!loses) {
      slow = 0, pause = 0;
      if (turn.attempt) limit = turn.workers;
      return;
    }
    loss = took.seconds / std::max(took.alone, 1e-9);
    if (!turn.attempt && ++slow < 2) return;
    limit = turn.workers / 2, slow = 0;
    pause = std::min(longest_pause, std::max(2 * pause, pause_by_calls * took.seconds));
    resume = WallClock::now() + std::chrono::duration_cast<WallClock::duration>(std::chrono::duration<double>(pause));
  }

  // The number of threads that calls are limited to, and the time that the last losing team took by that of one thread.
  std::pair<int64_t, double> state() {
    const std::lock_guard<std::mutex> guard(mutex);
    return {limit, loss};
  }

  void forget() {
    const std::lock_guard<std::mutex> guard(mutex);
    limit = std::numeric_limits<int64_t>::max(), slow = 0, pause = 0;
  }

private:
  static constexpr int64_t measured_every = 4; // reading the clocks of a team costs half a microsecond
  static constexpr double pause_by_calls = 16; // an attempt may cost a few times what the calls of a pause cost
  static constexpr double longest_pause = 1;   // seconds: how late a free processor may be noticed
  std::mutex mutex;
  int64_t limit = std::numeric_limits<int64_t>::max(), slow = 0, calls = 0;
  double pause = 0, loss = 0;
  WallClock::time_point resume;
};

inline Participants participants;

} // namespace gatewise::python
