"""Timing contenders in turns."""

import gc
import statistics
import time
from collections.abc import Sequence

from benchmarks.contenders import Contender

# A turn lasts about this long, so that one short call is not lost in what happens around it.
TURN_SECONDS = 0.01
MOST_CALLS = 200
# A call that takes longer needs no other before it.
LONG_SECONDS = 0.1
# Threads of the contender before may spin this long for more work, when the next one is in another process.
SETTLE_SECONDS = 0.03


def interleaved(contenders: Sequence[Contender], pairs: int) -> list[list[float]]:
    """Seconds of a call, of every contender in every round: A B A B ….

    A turn is as many calls as make up about `TURN_SECONDS`, after one that does not count, which finds its data in
    caches and its threads awake; its time is the mean. A call that takes long is a turn by itself.
    """
    calls = [_calls(contender) for contender in contenders]
    rounds: list[list[float]] = [[] for _ in contenders]
    gc.collect()
    gc.disable()
    try:
        for _ in range(pairs):
            for index, contender in enumerate(contenders):
                # contenders[-1] is the one before the first.
                if contender.remote or contenders[index - 1].remote:
                    time.sleep(SETTLE_SECONDS)
                taken = contender.time_calls(calls[index])
                rounds[index].append(statistics.fmean(taken[1:] or taken))
    finally:
        gc.enable()
    return rounds


def _calls(contender: Contender) -> int:
    """How many calls make a turn, the one that does not count included; the contender is warm afterwards."""
    contender.time_calls(1)
    once = min(contender.time_calls(2))
    return 1 if once > LONG_SECONDS else 1 + max(1, min(MOST_CALLS, round(TURN_SECONDS / once)))
