"""The engine's C interface as Python sees it: its codes, and the fields of a call."""

import ctypes

OK, MORE, NEEDS_WORKSPACE, NEEDS_WEIGHTS, BAD_LENGTH, BAD_BUFFER, BAD_ABI, BAD_SIZE = range(8)


class _Field(ctypes.Structure):
    _fields_ = (("name", ctypes.c_char_p), ("offset", ctypes.c_int64))


def fields_of(library: ctypes.CDLL) -> dict[str, int]:
    """Where each field of a call begins for a library, in bytes; in the order of their numbers."""
    count = ctypes.c_int64()
    library.gatewise_fields.restype = ctypes.POINTER(_Field)
    fields = library.gatewise_fields(ctypes.byref(count))
    return {fields[at].name.decode(): fields[at].offset for at in range(count.value)}


def check_fields(ours: dict[str, int], theirs: dict[str, int]) -> None:
    """Compare the fields of the binding, which fills in calls, with those of an engine.

    Raises:
        OSError: when one begins elsewhere, or is missing.
    """
    if ours != theirs:
        wrong = sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))
        raise OSError(f"the compiled engine lays out a call differently ({', '.join(wrong)}); install gatewise again")
