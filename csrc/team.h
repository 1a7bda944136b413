// Threads of the caller's pool: a barrier between them, and denormals flushed to zero. A participant of several slices
// arrives with the weight of all of them, so the barrier opens whatever the size of the team.
#pragma once

#include "contention.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>
#endif
#include <sched.h>

namespace gatewise {

class Barrier {
public:
  explicit Barrier(int64_t slices) : slices(slices) {}
  void arrive(int64_t weight) {
    if (weight == slices) return;
    const uint64_t round = opened.load(std::memory_order_acquire);
    if (arrived.fetch_add(weight, std::memory_order_acq_rel) + weight == slices) {
      arrived.store(0, std::memory_order_relaxed);
      opened.store(round + 1, std::memory_order_release);
      return;
    }
    for (int spins = 0; spins < brief; ++spins) {
      if (opened.load(std::memory_order_acquire) != round) return;
      pause();
    }
    const WallClock::time_point begin = WallClock::now();
    for (int spins = brief; spins < patient; ++spins) {
      if (opened.load(std::memory_order_acquire) != round) {
        waited += seconds_since(begin);
        return;
      }
      pause();
    }
    waited += seconds_since(begin);
    // A container may give a team fewer processors than threads, or another program use one: let others run.
    const double used = processor_seconds();
    while (opened.load(std::memory_order_acquire) == round) sched_yield();
    waited += processor_seconds() - used;
  }

private:
  // Waits of this many pauses, a microsecond or so, are not timed: reading the clock would cost as much.
  static constexpr int brief = 32;
  static constexpr int patient = 4096; // some tens of microseconds
  static void pause() {
#if defined(__x86_64__) || defined(__i386__)
    _mm_pause();
#endif
  }

  const int64_t slices;
  alignas(64) std::atomic<int64_t> arrived{0};
  alignas(64) std::atomic<uint64_t> opened{0};
};

// Denormal numbers, which long decaying sequences are full of, take a hundred cycles each: flush them to zero here.
class FlushDenormals {
public:
#if defined(__x86_64__)
  FlushDenormals() : before(_mm_getcsr()) { _mm_setcsr(before | 0x8040); }
  ~FlushDenormals() { _mm_setcsr(before); }

private:
  unsigned before;
#elif defined(__aarch64__)
  FlushDenormals() {
    asm volatile("mrs %0, fpcr" : "=r"(before));
    asm volatile("msr fpcr, %0" ::"r"(before | (uint64_t(1) << 24)));
  }
  ~FlushDenormals() { asm volatile("msr fpcr, %0" ::"r"(before)); }

private:
  uint64_t before;
#endif
};

} // namespace gatewise
