"""A signal handler, a finaliser or a thread may call a layer at any moment of another call."""

import gc
import random
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pytest
import torch

import gatewise
from tests.layers.oracle import call, check_call

PACKAGE = str(Path(gatewise.__file__).parent)


class Interrupting:
    """Calls of some layers, as a handler makes them: each time the next kind."""

    def __init__(self) -> None:
        self.count = 0
        self._inside = False
        self._layer = gatewise.LSTM(3, 4)
        self._other = gatewise.GRU(5, 6, num_layers=2, bidirectional=True)
        self._wide = gatewise.LSTM(3, 4, checkpoint_every=2)
        self._large = torch.randn(70, 256, 3)

    def __call__(self, steps: int) -> None:
        if self._inside:
            return
        self._inside = True
        try:
            self._next(steps)
            self.count += 1
        finally:
            self._inside = False

    def _next(self, steps: int) -> None:
        kind, same, other = self.count % 7, torch.ones(steps, 2, 3), torch.ones(3, 2, 5)
        if kind == 0:  # the same shape as the call that is interrupted
            call(self._layer, same)
        elif kind == 1:
            call(self._other, other, lengths=torch.tensor([3, 1]))
        elif kind == 2:
            call(self._wide, same)
        elif kind == 3:
            with torch.no_grad():
                call(self._other, other)
        elif kind == 4:
            with torch.no_grad(), self._layer.frozen():
                call(self._layer, same)
                self._layer.step(same[0])
        elif kind == 5:
            with torch.no_grad():
                list(self._layer.stream(same))
        else:
            with torch.no_grad():
                self._layer(self._large)


@contextmanager
def interrupted_at_lines(interrupting: Interrupting, steps: int, share: float, draw: random.Random) -> Iterator[None]:
    """Call it before some lines of the package, as a signal handler would be: between any two of Python's."""

    def at_line(frame: FrameType, event: str, argument: object) -> object:
        if event == "line" and draw.random() < share:
            interrupting(steps)
        return at_line

    def at_call(frame: FrameType, event: str, argument: object) -> object:
        return at_line if frame.f_code.co_filename.startswith(PACKAGE) else None

    before = sys.gettrace()
    sys.settrace(at_call)
    try:
        yield
    finally:
        sys.settrace(before)


@pytest.mark.parametrize("seed", range(2))
def test_a_call_at_any_line_of_another(seed: int):
    torch.manual_seed(seed)
    draw, interrupting = random.Random(seed), Interrupting()
    layer = gatewise.LSTM(3, 4)
    for trial in range(12):
        steps = 2 + 12 * seed + trial  # of a length not seen before
        for _ in range(4):
            x = torch.randn(steps, 2, 3)
            with interrupted_at_lines(interrupting, steps, 0.004, draw):
                call(layer, x)
        for _ in range(2):
            check_call(layer, torch.randn(steps, 2, 3))
    assert interrupting.count > 20


def test_what_is_interrupted_is_right_too():
    draw, interrupting = random.Random(0), Interrupting()
    for layer in (gatewise.LSTM(3, 4), gatewise.LSTM(3, 4, checkpoint_every=2), gatewise.BiGRU(3, 4)):
        for steps in (3, 4):
            for _ in range(4):
                with interrupted_at_lines(interrupting, steps, 0.002, draw):
                    check_call(layer, torch.randn(steps, 2, 3))
    assert interrupting.count > 20


def test_a_call_by_the_garbage_collector():
    interrupting, layer, before = Interrupting(), gatewise.LSTM(3, 4), gc.get_threshold()

    class Cycle:
        def __init__(self) -> None:
            self.itself = self

        def __del__(self) -> None:
            interrupting(5)

    gc.freeze()  # of what there is nothing is garbage
    try:
        for steps in range(4, 34):
            for _ in range(3):
                gc.collect()
                Cycle()
                gc.set_threshold(10 * steps, 1, 1)  # collected earlier or later in the call
                check_call(layer, torch.randn(steps, 2, 3))
    finally:
        gc.set_threshold(*before)
    assert interrupting.count > 20


@pytest.mark.skipif(sys.platform == "win32", reason="has no interval timers")
def test_a_call_by_a_signal_handler():
    interrupting, layer = Interrupting(), gatewise.LSTM(3, 4)
    before = signal.signal(signal.SIGALRM, lambda number, frame: interrupting(5))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
        for steps in range(4, 24):
            for _ in range(4):
                check_call(layer, torch.randn(steps, 2, 3))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_threads_that_train_and_infer_on_one_layer():
    layer, wrong = gatewise.LSTM(3, 4, num_layers=2), list[BaseException]()

    def work(seed: int) -> None:
        # Of its own: what the threads draw must not depend on their order.
        draw, numbers = random.Random(seed), torch.Generator().manual_seed(seed)
        try:
            for _ in range(25):
                x = torch.randn(draw.randrange(2, 6), 2, 3, generator=numbers)
                with torch.set_grad_enabled(draw.random() < 0.5):
                    if draw.random() < 0.3:
                        with layer.frozen():
                            check_call(layer, x)
                    else:
                        check_call(layer, x)
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong, wrong[0]
