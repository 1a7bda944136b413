// What a team of threads gains: its time against that of its work alone. Another program on one of its processors stops
// a thread for milliseconds, for which the others wait at every barrier; then fewer threads are faster.
#pragma once

#include "api.h"

#include <atomic>
#include <chrono>
#include <time.h>

namespace gatewise {

using WallClock = std::chrono::steady_clock;
inline double seconds_since(WallClock::time_point begin) {
  return std::chrono::duration<double>(WallClock::now() - begin).count();
}
inline double processor_seconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return double(now.tv_sec) + 1e-9 * double(now.tv_nsec);
}

// Processor time that this thread has spent on waiting for others, in seconds.
inline thread_local double waited = 0;

// A region that adds to `team` what its threads took, unless one thread ran it all.
template <class Region> class Measured {
public:
  Measured(Region &region, gatewise_team &team) : region(region), team(team), begin(WallClock::now()) {}
  Measured(const Measured &) = delete;
  Measured &operator=(const Measured &) = delete;
  ~Measured() {
    if (participants.load(std::memory_order_relaxed) < 2) return;
    team.seconds += seconds_since(begin);
    team.alone += 1e-9 * double(work.load(std::memory_order_relaxed));
  }
  void run(int64_t first, int64_t last) {
    const double used = processor_seconds(), idle = waited;
    region.run(first, last);
    const double own = (processor_seconds() - used) - (waited - idle);
    participants.fetch_add(1, std::memory_order_relaxed);
    if (own > 0) work.fetch_add(int64_t(1e9 * own), std::memory_order_relaxed);
  }

private:
  Region &region;
  gatewise_team &team;
  const WallClock::time_point begin;
  std::atomic<int64_t> participants{0}, work{0}; // work in nanoseconds
};

} // namespace gatewise
