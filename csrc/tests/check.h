// What the tests of the engine share: comparisons that are counted, exact numbers, a thread pool of their own.
#pragma once

#include <algorithm>
#include <atomic>
#include <cmath>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <limits>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

using Values = std::vector<double>;

inline std::mutex printing;
inline std::atomic<int> failures{0};
inline std::atomic<int64_t> comparisons{0};

// Off by no more than the tolerance times the largest wanted value, and at least 1. NaN is never right.
inline void compare(const std::string &what, const Values &got, const Values &wanted, double tolerance) {
  double scale = 1, worst = 0;
  for (double value : wanted) scale = std::max(scale, std::fabs(value));
  bool wrong = got.size() != wanted.size();
  for (size_t i = 0; i < std::min(got.size(), wanted.size()); ++i) {
    const double off = std::fabs(got[i] - wanted[i]);
    wrong |= !(off <= tolerance * scale);
    if (!(off <= worst)) worst = off;
  }
  ++comparisons;
  if (!wrong) return;
  const std::lock_guard<std::mutex> lock(printing);
  if (++failures <= 20)
    std::printf("%s: off by %g of %g (%zu values for %zu)\n", what.c_str(), worst, scale, got.size(), wanted.size());
}

inline void expect(const std::string &what, bool right) { compare(what, {double(right)}, {1}, 0); }

inline int report() {
  std::printf("%lld comparisons, %d failures\n", (long long)comparisons.load(), failures.load());
  return failures != 0;
}

// Small integers: every sum is exact, in any order.
template <class T> std::vector<T> integers(int64_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<T> values(count);
  for (T &value : values) value = T(int(random() % 17) - 8);
  return values;
}

// Threads that wait for work; every calling thread has a team of its own.
class Team {
public:
  ~Team() {
    {
      const std::lock_guard<std::mutex> lock(mutex);
      ending = true;
    }
    wake.notify_all();
    for (std::thread &thread : threads) thread.join();
  }
  // Calls task(member) for all members, the first of which is the caller.
  void run(int64_t members, const std::function<void(int64_t)> &task) {
    while (int64_t(threads.size()) + 1 < members)
      threads.emplace_back([this, m = int64_t(threads.size()) + 1, seen = round] { serve(m, seen); });
    {
      const std::lock_guard<std::mutex> lock(mutex);
      job = &task, count = members, busy = members - 1, ++round;
    }
    wake.notify_all();
    task(0);
    std::unique_lock<std::mutex> lock(mutex);
    done.wait(lock, [this] { return busy == 0; });
  }

private:
  std::vector<std::thread> threads;
  std::mutex mutex;
  std::condition_variable wake, done;
  const std::function<void(int64_t)> *job = nullptr;
  int64_t count = 0, busy = 0, round = 0;
  bool ending = false;

  void serve(int64_t member, int64_t seen) {
    for (std::unique_lock<std::mutex> lock(mutex);;) {
      wake.wait(lock, [&] { return ending || round != seen; });
      if (ending) return;
      seen = round;
      if (member >= count) continue;
      lock.unlock();
      (*job)(member);
      lock.lock();
      if (--busy == 0) done.notify_one();
    }
  }
};

// How many threads share the next calls of this thread, at most: fewer than asked is a team smaller than asked.
inline thread_local int64_t team_size = 8;

inline int32_t team(int64_t begin, int64_t end, int64_t grain, void (*body)(int64_t, int64_t, void *), void *context) {
  thread_local Team own;
  const int64_t count = end - begin, members = std::max<int64_t>(1, std::min(team_size, count / grain));
  own.run(members, [&](int64_t m) { body(begin + count * m / members, begin + count * (m + 1) / members, context); });
  return 0;
}
