"""The elementwise work of a stage as a C++ function on vectors.

A function works on a block of some rows (sequences) times some units. Values come from three places: rows of arrays,
vectors of parameters that all rows share, and the products that the engine has just computed.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from gatewise.equations.expression import COMPARISONS, Expr
from gatewise.equations.operations import OPERATIONS

# The array of what is computed from x alone: the engine may make these values step by step, elsewhere.
INPUTS = "x"


@dataclass(frozen=True)
class Slot:
    """A value's place: an array of the engine, and which block of H units in its rows."""

    array: str
    block: int


@dataclass(frozen=True)
class Accumulator:
    """A value that a product of this stage has just made: which output of a product with how many, after how many."""

    first: int
    outputs: int
    index: int


Place = Slot | Accumulator | tuple[Slot, ...]  # several slots stand for their sum


class Tables:
    """What the functions of one direction share: the arrays and the vectors that they read, by number."""

    def __init__(self, steady: set[Expr]) -> None:
        self.steady = steady
        self.arrays: dict[str, int] = {}
        self.vectors: dict[Expr, int] = {}

    def array(self, name: str) -> int:
        """The number of an array."""
        self.arrays.setdefault(name, 0)
        return list(self.arrays).index(name)

    def slot(self, name: str, block: int | None = None) -> Slot:
        """A place in the rows of an array: the next free one, or the one asked for."""
        self.array(name)
        at = self.arrays[name] if block is None else block
        self.arrays[name] = max(self.arrays[name], at + 1)
        return Slot(name, at)


class Function:
    """One stage's function under construction.

    Arguments:
        tables: numbers of arrays and vectors.
        name: of the function.
        places: where values stand that this stage does not compute.
    """

    def __init__(self, tables: Tables, name: str, places: Mapping[Expr, Place]) -> None:
        self.tables, self.name, self.places = tables, name, places
        self._before: list[str] = []
        self._inside: list[str] = []
        self._after: list[str] = []
        self._names: dict[Expr, str] = {}
        self._used: dict[int, None] = {}
        self._optional: dict[int, None] = {}
        self.blocks_used: dict[str, set[int]] = {}

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        return not self._inside

    def value(self, node: Expr) -> str:
        """The C++ name of a node's value, loaded or computed at first use."""
        if node not in self._names:
            if node.op == "constant":
                self._define(node, f"broadcast<T>((T){node.attr!r})", self._before)
            elif node in self.tables.steady:
                at = self.tables.vectors.setdefault(node, len(self.tables.vectors))
                self._define(node, f"load<whole>(b.vector[{at}] + unit, n)", self._before)
            elif node in self.places:
                self._define(node, self._load(self.places[node]), self._inside)
            else:
                self._define(node, self._computed(node), self._inside)
        return self._names[node]

    def sum(self, node: Expr, accumulator: Accumulator, rest: Iterable[Expr]) -> None:
        """Let a node's value be a product plus other values."""
        terms = [self._load(accumulator), *(self.value(term) for term in rest)]
        self._define(node, " + ".join(terms), self._inside)

    def store(self, node: Expr, slot: Slot, *, optional: bool = False) -> None:
        """Write a value to its place; when optional, only where the engine gave the array memory."""
        value = self.value(node)
        guard = ""
        if optional:
            at = self.tables.array(slot.array)
            self._optional[at] = None
            guard = f"if (has{at}) "
        self._inside.append(f"{guard}store<whole>({self._address(slot)}, {value}, n);")

    def store_zero(self, slot: Slot) -> None:
        """Write zeros to a place."""
        self._inside.append(f"store<whole>({self._address(slot)}, Vec<T>{{}}, n);")

    def add_up(self, at: int, node: Expr) -> None:
        """Add a value, over all rows, to the sum with this number."""
        value = self.value(node)
        address = f"b.sum[{at}] + unit"
        self._before.append(f"Vec<T> total{at}{{}};")
        self._inside.append(f"total{at} += {value};")
        self._after.append(f"store<whole>({address}, load<whole>({address}, n) + total{at}, n);")

    def text(self) -> str:
        """The function's source; nothing when it is empty."""
        if self.empty:
            return ""
        lines = [
            "template <class T, bool whole>",
            f"static inline void {self.name}_part(const Block<T> &b, int64_t u, int n) {{",
            "  [[maybe_unused]] const int64_t hidden = b.hidden, unit = b.first_unit + u, width = b.width;",
            "  [[maybe_unused]] const T *const product = b.product + u;",
            *(f"  T *const *const row{at} = b.row[{at}];" for at in self._used),
            *(f"  const bool has{at} = row{at}[0] != nullptr;" for at in self._optional),
            *(f"  {line}" for line in self._before),
            "  for (int64_t r = 0; r < b.rows; ++r) {",
            *(f"    T *const p{at} = {self._row(at)};" for at in self._used),
            *(f"    {line}" for line in self._inside),
            "  }",
            *(f"  {line}" for line in self._after),
            "}",
            f"template <class T> void {self.name}(const Block<T> &b) {{",
            "  int64_t u = 0;",
            f"  for (; u + lanes<T> <= b.units; u += lanes<T>) {self.name}_part<T, true>(b, u, lanes<T>);",
            f"  if (u < b.units) {self.name}_part<T, false>(b, u, int(b.units - u));",
            "}",
        ]
        return "\n".join(lines) + "\n"

    def _computed(self, node: Expr) -> str:
        return OPERATIONS[node.op].implementation("cpp").format(*map(self._operand, node.args))

    def _operand(self, node: Expr) -> str:
        return self._computed(node) if node.op in COMPARISONS else self.value(node)

    def _define(self, node: Expr, text: str, lines: list[str]) -> None:
        self._names[node] = f"v{len(self._names)}"
        lines.append(f"const Vec<T> {self._names[node]} = {text};")

    def _row(self, at: int) -> str:
        place = f"row{at}[r] + unit"
        return f"has{at} ? {place} : nullptr" if at in self._optional else place

    def _load(self, place: Place) -> str:
        if isinstance(place, Accumulator):
            row = f"({place.first} * most_rows + r * {place.outputs} + {place.index})"
            return f"load<true>(product + {row} * width, 0)"
        slots = place if isinstance(place, tuple) else (place,)
        return " + ".join(f"load<whole>({self._address(slot)}, n)" for slot in slots)

    def _address(self, slot: Slot) -> str:
        at = self.tables.array(slot.array)
        self._used[at] = None
        self.blocks_used.setdefault(slot.array, set()).add(slot.block)
        step = "b.input_block" if slot.array == INPUTS else "hidden"
        return f"p{at} + {slot.block} * {step}" if slot.block else f"p{at}"


def values_read(node: Expr) -> Iterator[Expr]:
    """The values that an elementwise node reads; a comparison stands for the two that it compares."""
    for arg in node.args:
        if arg.op in COMPARISONS:
            yield from arg.args
        else:
            yield arg
