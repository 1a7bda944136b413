// Threads: slices handed out by whoever runs the process's thread pool, and a barrier between them.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>
#endif
#include <sched.h>

namespace gatewise {

// The pool calls body(begin, end, context) so that the ranges cover [0, slices), each on a thread of its own; on a
// smaller team a call gets several slices. A participant arrives with the weight of its slices, so the barrier opens
// whatever the size of the team.
using ParallelFor = int32_t (*)(int64_t begin, int64_t end, int64_t grain, void (*body)(int64_t, int64_t, void *),
                                void *context);

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
    for (int spins = 0; opened.load(std::memory_order_acquire) == round; ++spins) {
      // A container may give a team fewer processors than threads: after a few microseconds let others run.
      if (spins > 4096) sched_yield();
#if defined(__x86_64__) || defined(__i386__)
      else _mm_pause();
#endif
    }
  }

private:
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
