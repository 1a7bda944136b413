"""Arrow's functions of arrays, which are made when pyarrow is imported, so that type checkers do not know them."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow


def arrow_compute() -> Any:
    """The module `pyarrow.compute`."""
    from pyarrow import compute

    return compute


def has_nul(cells: "pyarrow.Array") -> bool:
    """Whether a text among cells has a NUL character."""
    compute = arrow_compute()
    return bool(compute.any(compute.match_substring(cells, "\0")).as_py())
