"""What the engine did once, laid out to be done again and again with other addresses."""

from array import array
from collections.abc import Callable, Sequence
from functools import partial

import torch

from gatewise.kernels.cpu.library import engine, pool
from gatewise.kernels.cpu.split import threads

# What an operation does, in the engine's order.
RUN, MULTIPLY, PACK, ADD_UP, SORT = range(5)
WORD = 8

Operation = tuple[int, array]
"""What is done, and its words: of time loops, where the jobs' words stand, how many, on how many threads each; of a
product, its own and the threads; of packing, its own; of sums, where their words stand, and how many; of rows that are
put in order, the words of an `order.Sorting`."""

Place = tuple[int, int, int]
"""Where a word stands that is told anew each time, which of what is given, and what is added to that."""


class Tape:
    """Operations of the engine, one after the other; used by one thread at a time.

    Arguments:
        dtype: of the numbers.
        operations: what is done.
        places: what is told anew.
        given: how many words are told.
        held: what the words point to.

    Attributes:
        given: what is told, by the numbers in ``places``.
        play: does it all with what is given; 1 when there is no memory for the engine's scratch, 2 when a length is out
            of range. Called for every step of a stream, it is the engine's own function.
    """

    __slots__ = ("_held", "given", "play")

    def __init__(
        self,
        dtype: torch.dtype,
        operations: Sequence[Operation],
        places: Sequence[Place],
        given: int,
        held: tuple[object, ...],
    ) -> None:
        self.given = array("q", [0] * given)
        kinds = array("q", [word for kind, words in operations for word in (kind, words.buffer_info()[0])])
        all_places = array("q", [word for place in places for word in place])
        tape = array(
            "q",
            (
                kinds.buffer_info()[0],
                len(operations),
                pool(threads()) or 0,
                self.given.buffer_info()[0],
                all_places.buffer_info()[0],
                len(places),
            ),
        )
        self._held = (tape, kinds, all_places, operations, held)
        self.play: Callable[[], int] = partial(engine(dtype).play_function(dtype), tape.buffer_info()[0])
