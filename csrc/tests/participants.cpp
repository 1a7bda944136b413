// How many threads calls run on, by what teams took: `python/participants.h`.
#include "python/participants.h"

#include <cstdio>
#include <thread>

namespace {

using gatewise::python::Participants;
int failures = 0;

void check(const char *what, bool right) {
  if (!right) std::printf("%s\n", what), ++failures;
}

// Calls until one was measured; the number of threads that it ran on.
int64_t call(Participants &participants, int64_t most, const gatewise_team &took) {
  for (int k = 0; k < 100; ++k) {
    const Participants::Turn turn = participants.next(most);
    participants.report(turn, turn.measured ? took : gatewise_team{});
    if (turn.measured) return turn.workers;
  }
  return 0;
}
int64_t limit(Participants &participants) { return participants.state().first; }

constexpr double second = 1e-3; // of a call
const gatewise_team fast{second, 1.9 * second}, slow{second, 0.4 * second}, half{second, 3 * second};

} // namespace

int main() {
  {
    Participants calls;
    for (int k = 0; k < 20; ++k) call(calls, 2, fast);
    check("a team that gains is kept", limit(calls) > 1);
    call(calls, 2, slow);
    call(calls, 2, fast);
    call(calls, 2, slow);
    check("one slow call changes nothing", limit(calls) > 1 && call(calls, 2, fast) == 2);
  }
  {
    Participants calls;
    call(calls, 2, slow), call(calls, 2, slow);
    check("two in a row do", limit(calls) == 1);
    check("the loss is kept", calls.state().second > 2.4 && calls.state().second < 2.6);
    check("calls of one thread are not measured", !calls.next(2).measured && calls.next(2).workers == 1);
    check("and are left alone", calls.next(1).workers == 1 && !calls.next(1).measured);
    std::this_thread::sleep_for(std::chrono::milliseconds(20)); // 16 calls
    check("the team is tried again", call(calls, 2, slow) == 2 && limit(calls) == 1);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    check("after twice the pause", !calls.next(2).measured);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    check("and returns when it gains", call(calls, 2, fast) == 2 && call(calls, 2, fast) == 2 && limit(calls) > 1);
    call(calls, 2, slow), call(calls, 2, slow);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    check("the pause begins anew", calls.next(2).measured);
  }
  {
    Participants calls;
    call(calls, 8, half), call(calls, 8, half);
    check("half of a large team", limit(calls) == 4);
    check("is all of a smaller one", calls.next(3).workers == 3 && limit(calls) == 4 && calls.next(8).workers == 4);
    calls.forget();
    check("until it is forgotten", calls.next(8).workers == 8);
  }
  {
    Participants calls;
    for (int k = 0; k < 20; ++k) call(calls, 2, gatewise_team{});
    check("what one thread ran says nothing", limit(calls) > 1);
  }
  std::printf("%d failures\n", failures);
  return failures != 0;
}
