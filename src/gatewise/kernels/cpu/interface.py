"""The engine's C interface in Python: return codes, and the fields of a call."""

import ctypes

OK, MORE, NEEDS_WORKSPACE, NEEDS_WEIGHTS, BAD_LENGTH, BAD_BUFFER, BAD_ABI, BAD_SIZE = range(8)


class _Field(ctypes.Structure):
    _fields_ = (("name", ctypes.c_char_p), ("offset", ctypes.c_int64))


def fields_of(library: ctypes.CDLL) -> dict[str, int]:
    """The byte offset of each field of a call in a library, in the order of their numbers."""
    count = ctypes.c_int64()
    library.gatewise_fields.restype = ctypes.POINTER(_Field)
    fields = library.gatewise_fields(ctypes.byref(count))
    return {fields[index].name.decode(): fields[index].offset for index in range(count.value)}


def check_fields(ours: dict[str, int], theirs: dict[str, int]) -> None:
    """Compare the fields of the binding, which fills in calls, with those of an engine.

    Raises:
        OSError: when an offset differs, or a field is missing.
    """
    if ours != theirs:
        wrong = sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))
        raise OSError(f"the compiled engine lays out a call differently ({', '.join(wrong)}); install gatewise again")
