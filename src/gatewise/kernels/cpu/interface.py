"""The engine's C interface as ctypes sees it: the struct of a call, and its codes.

The layout is compared with the library's own when that is loaded. Every field has 8 bytes, so a call is filled in as
one array of words, in the order of the fields.
"""

import ctypes

OK, MORE, NEEDS_WORKSPACE, NEEDS_WEIGHTS, BAD_LENGTH, BAD_BUFFER, BAD_ABI, BAD_SIZE = range(8)


class Dense(ctypes.Structure):
    """Elements one after the other."""

    _fields_ = (("data", ctypes.c_void_p), ("count", ctypes.c_int64))


class Sequence(ctypes.Structure):
    """(T, B, features) with strides."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        ("count", ctypes.c_int64),
        ("step_stride", ctypes.c_int64),
        ("row_stride", ctypes.c_int64),
    )


class State(ctypes.Structure):
    """One state of the cell."""

    _fields_ = tuple((name, Dense) for name in ("initial", "final", "final_gradient", "initial_gradient"))


class Parameter(ctypes.Structure):
    """One parameter group of one direction."""

    _fields_ = tuple((name, Dense) for name in ("value", "gradient"))


_NUMBERS = (
    "struct_size",
    "abi",
    "dtype",
    "steps",
    "rows",
    "input_size",
    "hidden_size",
    "directions",
    "layers",
    "reverse",
    "threads",
    "workers",
    "chunk",
    "checkpoint",
    "share_small",
    "accumulate",
    "position",
    "needed",
    "weights_layout",
    "weights_filled",
)


class Call(ctypes.Structure):
    """A call of the engine; see ``api.h`` for the fields."""

    _fields_ = (
        *[(name, ctypes.c_int64) for name in _NUMBERS],
        *[(name, ctypes.c_void_p) for name in ("program", "pool", "seconds")],
        *[(name, Dense) for name in ("workspace", "weights")],
        *[(name, Sequence) for name in ("x", "output")],
        ("lengths", Dense),
        ("reset", Sequence),
        *[(name, Dense) for name in ("saved", "boundaries")],
        *[(name, Sequence) for name in ("output_gradient", "x_gradient")],
        *[(name, Dense) for name in ("norms", "state_values", "state_gradients")],
        *[(name, ctypes.c_void_p) for name in ("states", "parameters")],
    )


class _Field(ctypes.Structure):
    _fields_ = (("name", ctypes.c_char_p), ("offset", ctypes.c_int64))


def word_of(field: str) -> int:
    """Which word of a call a field begins with."""
    return getattr(Call, field).offset // 8


WORDS = ctypes.sizeof(Call) // 8
STATE_WORDS, PARAMETER_WORDS = ctypes.sizeof(State) // 8, ctypes.sizeof(Parameter) // 8


def check_layout(library: ctypes.CDLL) -> tuple[str, ...]:
    """Compare the structs with those of a library.

    Returns:
        The names of all fields, in the library's order.

    Raises:
        OSError: when a field stands elsewhere, or is missing.
    """
    count = ctypes.c_int64()
    library.gatewise_fields.restype = ctypes.POINTER(_Field)
    fields = library.gatewise_fields(ctypes.byref(count))
    theirs = {fields[at].name.decode(): fields[at].offset for at in range(count.value)}
    ours = {name: getattr(Call, name).offset for name, *_ in Call._fields_}
    for prefix, struct in {"states": State, "parameters": Parameter}.items():
        ours |= {f"{prefix}.{name}": getattr(struct, name).offset for name, *_ in struct._fields_}
    if ours != theirs:
        wrong = sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))
        raise OSError(f"the compiled engine lays out a call differently ({', '.join(wrong)}); install gatewise again")
    return tuple(theirs)
