"""Writing down what the engine is told while it does it, so that it can be done again on other tensors.

The modules that tell the engine something tell it here, too: `current` is where, or None. Where an address points into
a tensor that will be another one next time, the tape has a place for it; everything else is its own from then on. So
whatever torch computes in between is told as well, to be computed again: `derived` before the tape, `afterwards` after.
"""

import threading
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from functools import wraps
from itertools import pairwise
from typing import NamedTuple, ParamSpec, TypeVar

import torch
from torch import Tensor

from gatewise.kernels.call import Call, Directions
from gatewise.kernels.cpu.tape import ADD_UP, MULTIPLY, PACK, RUN, WORD, Operation, Place, Tape

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")
_Writing = TypeVar("_Writing", bound="Taping | None")

Derive = Callable[[Call], Tensor]
Finish = Callable[[Call, Sequence[Tensor | None]], None]


class Words(NamedTuple):
    """Structs of one kind, one after the other, as the engine reads them.

    Attributes:
        words: all of them.
        size: words of each.
        pointers: which of these are addresses; a number alone does not tell.
    """

    words: array
    size: int
    pointers: tuple[int, ...]

    @classmethod
    def of_pointers(cls, words: array) -> "Words":
        """Addresses, and nothing else."""
        return cls(words, 1, (0,))


class Written(NamedTuple):
    """A tape, and what torch does around it.

    Attributes:
        tape: what the engine does; its addresses are given in the order of the tensors that `Taping.written` was told.
        before: tensors that are filled first, with what is computed from the call of one direction.
        after: what is done at the end with the call of one direction and its results.
    """

    tape: Tape
    before: tuple[tuple[Tensor, Directions, Derive], ...]
    after: tuple[tuple[Directions, Finish], ...]

    def prepare(self, call: Call) -> None:
        """Compute what the tape reads of a call."""
        if self.before:
            singles = {single.directions: single for single in call.single_directions()}
            for value, directions, make in self.before:
                value.copy_(make(singles[directions]))

    def finish(self, call: Call, results: Sequence[Tensor | None]) -> None:
        """Do what is to be done when the tape was played.

        Arguments:
            call: that it was played for.
            results: the gradients of its parameters; none of a forward pass.
        """
        if self.after:
            groups = len(call.cell.groups)
            singles = {single.directions: (at, single) for at, single in enumerate(call.single_directions())}
            for directions, finish in self.after:
                at, single = singles[directions]
                finish(single, results[at * groups : (at + 1) * groups])


class Taping:
    """What is written down so far.

    Attributes:
        possible: whether it can be done again from a tape.
        begun: whether the pass that is written down has begun.
    """

    def __init__(self) -> None:
        self.possible = True
        self.begun = False
        self._operations: list[Operation] = []
        self._words: list[Words] = []  # all that may hold addresses
        self._held: list[object] = []  # from now on, so that nothing new gets an address that is written down
        self._before: list[tuple[Tensor, Directions, Derive]] = []
        self._after: list[tuple[Directions, Finish]] = []

    def run(self, jobs: Words, count: int, slices: int, nested: Sequence[Words], held: object) -> None:
        """Time loops were run.

        Arguments:
            jobs: their words.
            count: how many.
            slices: threads for each.
            nested: the words that those point to.
            held: whatever else they point to.
        """
        self._operations.append((RUN, array("q", (jobs.words.buffer_info()[0], count, slices))))
        self._words += [jobs, *nested]
        self._held.append(held)

    def multiply(self, words: Sequence[int], pointers: tuple[int, ...], slices: int, held: object) -> None:
        """A product was made, of these `products.product_words`, some of them addresses."""
        own = array("q", (*words, slices))
        self._operations.append((MULTIPLY, own))
        self._words.append(Words(own, len(own), pointers))
        self._held.append(held)

    def pack(self, packing: Words, blocks: array, to: Tensor) -> None:
        """Blocks were packed, of these words and the blocks' addresses."""
        self._operations.append((PACK, packing.words))
        self._words += [Words.of_pointers(blocks), packing]
        self._held.append(to)

    def add_up(self, sums: Words, count: int, nested: Sequence[Words], held: object) -> None:
        """Vectors were added up; arguments as of `run`."""
        self._operations.append((ADD_UP, array("q", (sums.words.buffer_info()[0], count))))
        self._words += [sums, *nested]
        self._held.append(held)

    def derived(self, value: Tensor, directions: Directions, make: Derive) -> None:
        """A tensor was computed from a call of one direction by torch, or is one of the call's own."""
        self._before.append((value, directions, make))

    def afterwards(self, directions: Directions, finish: Finish) -> None:
        """Torch finished the results of one direction."""
        self._after.append((directions, finish))

    def written(self, dtype: torch.dtype, outside: Sequence[Tensor]) -> Written | None:
        """The tape; None when there can be none.

        Arguments:
            dtype: of the numbers.
            outside: tensors that are others each time, dense; their addresses are given in this order.
        """
        ranges = sorted(
            (one.data_ptr(), one.data_ptr() + one.nbytes, at) for at, one in enumerate(outside) if one.nbytes
        )
        if not self.possible or any(end > start for (_, end, _), (start, _, _) in pairwise(ranges)):
            return None
        starts = [start for start, _, _ in ranges]

        def found(address: int) -> tuple[int, int] | None:
            at = bisect_right(starts, address) - 1
            if at < 0 or address >= ranges[at][1]:
                return None
            start, _, which = ranges[at]
            return which, address - start

        places: list[Place] = []
        for words, size, pointers in self._words:
            begin = words.buffer_info()[0]
            for pointer in pointers:
                for at in range(pointer, len(words), size):
                    if (where := found(words[at])) is not None:
                        places.append((begin + WORD * at, *where))
        before = tuple([one for one in self._before if found(one[0].data_ptr()) is None])
        own = [tensor for tensor in _tensors(self._held) if found(tensor.data_ptr()) is None]
        held = ([one.words for one in self._words], own)
        return Written(Tape(dtype, self._operations, places, len(outside), held), before, tuple(self._after))


def _tensors(held: object) -> Iterator[Tensor]:
    """Whatever tensors are in there."""
    if isinstance(held, Tensor):
        yield held
    elif is_dataclass(held):
        for one in fields(held):
            yield from _tensors(getattr(held, one.name))
    elif isinstance(held, tuple | list):
        for one in held:
            yield from _tensors(one)
    elif isinstance(held, dict):
        yield from _tensors(list(held.values()))


_here = threading.local()


def current() -> Taping | None:
    """Where to write what this thread tells the engine."""
    return getattr(_here, "taping", None)


@contextmanager
def taping() -> Iterator[Taping]:
    """Write down what the next pass of this thread tells the engine."""
    with _instead(Taping()) as writing:
        yield writing


def one_pass(function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """Let a function that runs a pass be called by a signal handler or a finaliser while another is written down.

    It is no part of that one, which is not to be done again: what it told the engine may be told in another order.
    """

    @wraps(function)
    def run(*arguments: _Arguments.args, **options: _Arguments.kwargs) -> _Result:
        writing = current()
        if writing is None:
            return function(*arguments, **options)
        if not writing.begun:
            writing.begun = True
            return function(*arguments, **options)
        writing.possible = False
        with _instead(None):
            return function(*arguments, **options)

    return run


@contextmanager
def _instead(writing: _Writing) -> Iterator[_Writing]:
    before, _here.taping = current(), writing
    try:
        yield writing
    finally:
        _here.taping = before


def derived(call: Call, make: Derive) -> Tensor:
    """What torch computes from a call of one direction for the engine to read."""
    value = make(call)
    if (writing := current()) is not None:
        writing.derived(value, call.directions, make)
    return value
