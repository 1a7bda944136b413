"""Models exported by `gatewise.to_c` or ``gatewise export --to c``, called from Python without torch."""

import ctypes
import json
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gatewise.writing import as_path

Numbers = NDArray[np.floating]
State = list[tuple[Numbers, ...]]
"""For each layer from the lowest, for each state of its cell (D, B, H), or (D, B, P) of a projection."""

_BAD_WEIGHTS, _BROKEN = 1, 7


class _Buffer(ctypes.Structure):
    _fields_ = (("data", ctypes.c_void_p), ("count", ctypes.c_int64))


class _Call(ctypes.Structure):
    """As ``model.h`` has it."""

    _fields_ = (
        ("steps", ctypes.c_int64),
        ("rows", ctypes.c_int64),
        *(
            (name, _Buffer)
            for name in (
                "numbers",
                "values",
                "tokens",
                "lengths",
                "reset",
                "mask",
                "output",
                "softmax",
                "answers",
                "further",
            )
        ),
    )


class Answer(NamedTuple):
    """What a model has computed.

    Attributes:
        output: (T, B, K), or (B, K) where there is one for each sequence.
        answers: (T, B) or (B,) int64, the most probable class; None of models that have no classes.
        softmax: the probabilities, of the shape of the output; None if they were not asked for.
    """

    output: Numbers
    answers: NDArray[np.int64] | None
    softmax: Numbers | None


class _Step(NamedTuple):
    """The buffers of a step, which are used again and again."""

    call: _Call
    reference: Any
    given: NDArray[Any]
    output: Numbers


class Model:
    """An instance of a model: the weights, and a state that calls continue from. For one thread at a time.

    Args:
        library: the compiled library.
        facts: what the JSON file of the model says.
        weights: the contents of the file of weights, uint8.
        max_batch: the most rows of a call.
        chunk: the most steps that are computed at once.

    Attributes:
        facts: sizes and names; of a trained model also its labels and the like.

    Raises:
        ValueError: for weights that are not those of the library, or bad sizes.
        OSError: when the library cannot be loaded.
    """

    def __init__(
        self, library: Path, facts: dict[str, Any], weights: NDArray[np.uint8], *, max_batch: int, chunk: int
    ) -> None:
        self._handle = None
        self.facts = facts
        functions = ctypes.CDLL(str(library.absolute()))
        name = facts["name"]

        def function(of: str, result: Any, *arguments: Any) -> Any:
            found = getattr(functions, f"{name}_{of}")
            found.restype, found.argtypes = result, arguments
            return found

        pointer, size = ctypes.c_void_p, ctypes.c_int64
        create = function("create", pointer, pointer, size, size, size, pointer)
        self._error = function("error", ctypes.c_char_p, pointer)
        self._destroy = function("destroy", None, pointer)
        self._reset = function("reset", ctypes.c_int32, pointer)
        self._run = function("run", ctypes.c_int32, pointer, pointer)
        self._step = function("step", ctypes.c_int32, pointer, pointer)
        self._get = function("state_get", ctypes.c_int32, pointer, size, _Buffer)
        self._set = function("state_set", ctypes.c_int32, pointer, size, _Buffer)
        self._instruction_set = function("instruction_set", ctypes.c_char_p, pointer)
        self._weights = weights  # the library reads them
        self._dtype = np.dtype(facts["number"])
        self._rows = 0
        self._steps: dict[tuple[int, ...], _Step] = {}
        handle = create(weights.ctypes.data, weights.nbytes, max_batch, chunk, None)
        if not handle:
            raise ValueError(self._error(None).decode())
        self._handle = ctypes.c_void_p(handle)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """Free its memory; it cannot be called afterwards."""
        handle, self._handle = self._handle, None
        if handle is not None:
            self._destroy(handle)

    @property
    def instruction_set(self) -> str:
        """The instruction set that runs: avx512, avx2 or plain."""
        return self._instruction_set(self._opened).decode()

    def run(
        self,
        numbers: ArrayLike | None = None,
        *,
        values: ArrayLike | None = None,
        tokens: ArrayLike | None = None,
        further: ArrayLike | None = None,
        lengths: ArrayLike | None = None,
        reset: ArrayLike | None = None,
        mask: ArrayLike | None = None,
    ) -> Numbers:
        """The output for the next steps; see `answer` for the arguments.

        Returns:
            (T, B, K), or (B, K) where there is one for each sequence; without B where the arguments have none.

        Raises:
            ValueError: as `answer`.
        """
        given = {"numbers": numbers, "values": values, "tokens": tokens}
        return self._called(given, further, lengths, reset, mask, answers=False, softmax=False).output

    def answer(
        self,
        numbers: ArrayLike | None = None,
        *,
        values: ArrayLike | None = None,
        tokens: ArrayLike | None = None,
        further: ArrayLike | None = None,
        lengths: ArrayLike | None = None,
        reset: ArrayLike | None = None,
        mask: ArrayLike | None = None,
        softmax: bool = False,
    ) -> Answer:
        """The output for the next steps, and the most probable classes.

        Args:
            numbers: (T, B, I), or (T, I) of one sequence; (T,) where I is 1, here and below.
            values: likewise, in units of the data; NaN is a missing one.
            tokens: (T, B, F), F tokens a step, or (T, F) of one sequence, integers.
            further: (B, K, …), or (K, …) of one series: of each of the steps to forecast the values and tokens.
            lengths: (B,), the valid steps of each row; None for all.
            reset: (T, B) bool, true where nothing flows from the step before.
            mask: (T, B) bool, false where the step is skipped.
            softmax: compute the probabilities too.

        Raises:
            ValueError: for arguments that the model does not take; its state is then as it was.
        """
        given = {"numbers": numbers, "values": values, "tokens": tokens}
        return self._called(given, further, lengths, reset, mask, answers=bool(self.facts["answers"]), softmax=softmax)

    def step(
        self, numbers: ArrayLike | None = None, *, values: ArrayLike | None = None, tokens: ArrayLike | None = None
    ) -> Numbers:
        """The output (B, K) for one more step (B, I), or (K,) for (I,); faster than `run`.

        Raises:
            ValueError: as `answer`.
        """
        if numbers is not None:
            name, given = "numbers", numbers
        elif values is not None:
            name, given = "values", values
        elif tokens is not None:
            name, given = "tokens", tokens
        else:
            raise ValueError("step: expected numbers, values or tokens, got none of them")
        if (numbers is not None) + (values is not None) + (tokens is not None) != 1:
            raise ValueError("step: expected one of numbers, values and tokens; use run for more")
        shape = np.shape(given)
        step = self._steps.get(shape)
        if step is None:
            step = self._steps[shape] = self._made_step(name, shape)
        step.given[...] = given
        if code := self._step(self._handle, step.reference):
            self._raise(code)
        self._rows = step.call.rows
        return step.output.copy()

    def reset(self) -> None:
        """Zero state: sequences begin."""
        self._check(self._reset(self._opened))
        self._rows = 0

    @property
    def state(self) -> State | None:
        """The state, for each layer and state of its cell (D, B, H), or P wide; None is zero. Can be assigned."""
        if not self._rows:
            return None
        flat = np.empty(self._rows * self._state_size, self._dtype)
        self._check(self._get(self._opened, self._rows, _buffer(flat)))
        found: State = []
        at = 0
        for layer in self.facts["state"]:
            states: list[Numbers] = []
            for width in layer["widths"]:
                size = layer["directions"] * self._rows * width
                states.append(flat[at : at + size].reshape(layer["directions"], self._rows, width))
                at += size
            found.append(tuple(states))
        return found

    @state.setter
    def state(self, state: Sequence[Sequence[ArrayLike]] | None) -> None:
        self.reset()
        if state is None:
            return
        arrays = [np.asarray(one, self._dtype) for layer in state for one in layer]
        rows = arrays[0].shape[1] if arrays and arrays[0].ndim == 3 else 0
        expected = [(layer["directions"], rows, width) for layer in self.facts["state"] for width in layer["widths"]]
        if [one.shape for one in arrays] != expected:
            raise ValueError(f"state: expected arrays of shapes {expected}, got {[one.shape for one in arrays]}")
        flat = np.concatenate([one.ravel() for one in arrays])
        self._check(self._set(self._opened, rows, _buffer(flat)))
        self._rows = rows

    @property
    def _opened(self) -> ctypes.c_void_p:
        if self._handle is None:
            raise ValueError("the model is closed")
        return self._handle

    @property
    def _state_size(self) -> int:
        return sum(one["directions"] * sum(one["widths"]) for one in self.facts["state"])

    def _called(
        self,
        given: dict[str, ArrayLike | None],
        further: ArrayLike | None,
        lengths: ArrayLike | None,
        reset: ArrayLike | None,
        mask: ArrayLike | None,
        *,
        answers: bool,
        softmax: bool,
    ) -> Answer:
        arrays, steps, rows, batched = self._inputs(given, 3)
        for name, flags in {"reset": reset, "mask": mask}.items():
            if flags is not None:
                arrays[name] = _shaped(name, np.asarray(flags, np.uint8), (steps, rows), batched)
        if lengths is not None:
            arrays["lengths"] = _shaped("lengths", np.asarray(lengths, np.int64), (rows,), True)
        if self.facts["further"]:
            size = rows * self.facts["further"]
            array = np.ascontiguousarray(np.nan if further is None else further, np.float64)
            if array.size != size:
                raise ValueError(f"further: expected {size} numbers about the steps to come, got {array.size}")
            arrays["further"] = array
        shape = (steps, rows) if self.facts["output_per_step"] else (rows,)
        output = arrays["output"] = np.empty((*shape, self.facts["outputs"]), self._dtype)
        if answers:
            arrays["answers"] = np.empty(shape, np.int64)
        if softmax:
            arrays["softmax"] = np.empty_like(output)
        call = _Call(steps, rows, **{name: _buffer(one) for name, one in arrays.items()})
        self._check(self._run(self._opened, ctypes.byref(call)))
        self._rows = rows
        at = len(shape) - 1  # the axis of rows
        results = [arrays.get(name) for name in ("output", "answers", "softmax")]
        return Answer(*(one if one is None or batched else one.squeeze(at) for one in results))  # pyright: ignore

    def _made_step(self, name: str, shape: tuple[int, ...]) -> _Step:
        dtype = {"numbers": self._dtype, "values": np.dtype(np.float64), "tokens": np.dtype(np.int64)}[name]
        array = np.zeros(shape, dtype)
        found, _, rows, batched = self._inputs({name: array[None]}, 3)
        output = np.empty((rows, self.facts["outputs"]), self._dtype)
        call = _Call(1, rows, **{name: _buffer(found[name]), "output": _buffer(output)})
        assert np.shares_memory(found[name], array)
        return _Step(call, ctypes.byref(call), array, output if batched else output[0])

    def _inputs(
        self, given: dict[str, ArrayLike | None], dimensions: int
    ) -> tuple[dict[str, NDArray[Any]], int, int, bool]:
        """The inputs as arrays (T, B, width), T, B, and whether the arguments have a B."""
        dtypes = {"numbers": self._dtype, "values": np.dtype(np.float64), "tokens": np.dtype(np.int64)}
        found: dict[str, NDArray[Any]] = {}
        places: tuple[int, ...] | None = None
        for name, value in given.items():
            width = self.facts[name]
            if value is None:
                if width:
                    raise ValueError(f"{name}: expected (T, B, {width}), got None")
                continue
            if not width:
                raise ValueError(f"{name}: this model reads none; expected None")
            array = np.asarray(value)
            if name == "tokens" and array.dtype.kind not in "iu":
                raise ValueError(f"tokens: expected integers, got {array.dtype}")
            array = np.ascontiguousarray(array, dtypes[name])
            if array.ndim == 1 and width == 1:
                array = array[:, None]
            if array.ndim not in (dimensions - 1, dimensions) or array.shape[-1] != width:
                raise ValueError(f"{name}: expected (T, B, {width}) or (T, {width}), got {array.shape}")
            if places not in (None, array.shape[:-1]):
                raise ValueError(f"{name}: expected {places} steps and rows, as before, got {array.shape[:-1]}")
            found[name], places = array, array.shape[:-1]
        assert places is not None
        batched = len(places) == dimensions - 1
        return found, places[0], places[1] if batched else 1, batched

    def _check(self, code: int) -> None:
        if code:
            self._raise(code)

    def _raise(self, code: int) -> None:
        message = self._error(self._opened).decode()
        raise (RuntimeError if code == _BROKEN else ValueError)(message or f"code {code}")


def load(folder: "str | PathLike[str]", *, max_batch: int = 1, chunk: int = 256) -> Model:
    """An instance of the model in a folder that was exported and compiled.

    Args:
        folder: the folder.
        max_batch: the most rows of a call.
        chunk: the most steps that are computed at once; longer calls are divided, except where a layer reads from the
            end or a call is of whole sequences.

    Raises:
        ValueError: for a folder without a model, weights that are not those of the library, or bad sizes.
        OSError: when a file cannot be read.

    >>> import tempfile, numpy, gatewise
    >>> with tempfile.TemporaryDirectory() as folder:  # doctest: +SKIP
    ...     _ = gatewise.to_c(gatewise.LSTM(3, 8), folder, build=True)
    ...     with gatewise.runtime.load(folder) as model:
    ...         model.run(numpy.zeros((5, 3))).shape
    (5, 8)
    """
    path = as_path("folder", folder)
    found = [one for one in sorted(path.glob("*.json")) if (path / f"{one.stem}.cpp").is_file()]
    if len(found) != 1:
        raise ValueError(f"{path}: not a folder of an exported model")
    try:
        facts: dict[str, Any] = json.loads(found[0].read_text(encoding="utf-8"))
        name = facts["name"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{found[0]}: corrupt, or not of an exported model") from error
    places = [path / f"lib{name}.so", path / "build" / f"lib{name}.so", path / "build" / f"lib{name}.dylib"]
    library = next((one for one in places if one.is_file()), None)
    if library is None:
        raise ValueError(
            f"{path}: the library is not compiled; export with --build, or run cmake as its README.md says"
        )
    weights = path / "weights.bin"
    if not weights.stat().st_size:
        raise ValueError(f"{weights}: the file is truncated")
    return Model(library, facts, np.memmap(weights, mode="r"), max_batch=max_batch, chunk=chunk)


def _shaped(name: str, array: NDArray[Any], shape: tuple[int, ...], batched: bool) -> NDArray[Any]:
    expected = shape if batched else shape[:1]
    if array.shape != expected:
        raise ValueError(f"{name}: expected {expected}, got {array.shape}")
    return np.ascontiguousarray(array)


def _buffer(array: NDArray[Any]) -> _Buffer:
    return _Buffer(array.ctypes.data, array.size)
