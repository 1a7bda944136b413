"""The elementwise work of a stage as a C++ function on vectors.

A function processes a block of rows (sequences) times units. It reads rows of arrays, vectors of parameters shared by
all rows, and the products that the engine has just computed. Values that a row has once, for all units, are computed
from sums over units before the loop over units; the sums of this stage are added up register-wide, and completed by the
engine.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from gatewise.equations.expression import COMPARISONS, Expr, Width
from gatewise.equations.operations import OPERATIONS

# The array of input projections, which the engine may also compute step by step, elsewhere.
INPUT_PROJECTIONS = "x"
# The arrays of values that a row has once: the sums over units of a step, and what is saved for backward.
ROW_VALUES, SAVED_ROW_VALUES = "row values", "saved row values"


@dataclass(frozen=True)
class Slot:
    """A block of H units, or of P, in the rows of an array of the engine."""

    array: str
    block: int


@dataclass(frozen=True)
class Accumulator:
    """The output of a product of this stage: number `index` of `outputs`, after `first` outputs of earlier products."""

    first: int
    outputs: int
    index: int


Storage = Slot | Accumulator | tuple[Slot, ...]  # several slots are summed


class Tables:
    """The numbered arrays and vectors shared by the functions of one direction."""

    def __init__(self, loop_invariant: set[Expr]) -> None:
        self.loop_invariant = loop_invariant
        self.arrays: dict[str, int] = {}
        self.narrow: set[str] = set()  # the arrays whose blocks have the width of a projection
        self.vectors: dict[Expr, int] = {}

    def array(self, name: str) -> int:
        """The number of an array."""
        self.arrays.setdefault(name, 0)
        return list(self.arrays).index(name)

    def slot(self, name: str, block: int | None = None, *, narrow: bool = False) -> Slot:
        """A slot in the rows of an array: the given block, or the next free one.

        Args:
            name: of the array.
            block: its number, or None.
            narrow: whether the blocks of this array have P units rather than H.
        """
        self.array(name)
        if narrow:
            self.narrow.add(name)
        block = self.arrays[name] if block is None else block
        self.arrays[name] = max(self.arrays[name], block + 1)
        return Slot(name, block)


class Function:
    """Builder of one stage's function.

    Args:
        tables: the numbers of arrays and vectors.
        name: name of the function.
        storage: where the values are stored that this stage does not compute.
    """

    def __init__(self, tables: Tables, name: str, storage: Mapping[Expr, Storage]) -> None:
        self.tables, self.name, self.storage = tables, name, storage
        self._before: list[str] = []
        self._inside: list[str] = []
        self._after: list[str] = []
        self._names: dict[Expr, str] = {}
        self._used: dict[int, None] = {}
        self._optional: dict[int, None] = {}
        self.blocks_used: dict[str, set[int]] = {}
        self._of_rows = _RowValues(tables, storage)
        self._totals = 0

    @property
    def empty(self) -> bool:
        """Whether the function has no statements."""
        return not self._inside and self._of_rows.empty

    @property
    def counts_units(self) -> bool:
        """Whether it reads the number H, which is that of its own units."""
        return self._of_rows.counts_units

    @property
    def over_rows(self) -> bool:
        """Whether it reads, stores or sums values of whole rows."""
        return bool(self._totals) or not self._of_rows.empty

    def value(self, node: Expr) -> str:
        """The C++ name of a node's value, loaded or computed at first use."""
        if node.width is Width.ROW and node.op not in COMPARISONS:
            return f"of.{self._of_rows.kept(node)}[r]"
        if node not in self._names:
            if node.op == "constant":
                self._define(node, f"broadcast<T>((T){node.attr!r})", self._before)
            elif node in self.tables.loop_invariant:
                number = self.tables.vectors.setdefault(node, len(self.tables.vectors))
                self._define(node, f"load<whole>(b.vector[{number}] + unit, n)", self._before)
            elif node in self.storage:
                self._define(node, self._load(self.storage[node]), self._inside)
            else:
                self._define(node, self._computed(node), self._inside)
        return self._names[node]

    def sum(self, node: Expr, accumulator: Accumulator, rest: Iterable[Expr]) -> None:
        """Define a node's value as a product plus other values."""
        terms = [self._load(accumulator), *(self.value(term) for term in rest)]
        self._define(node, " + ".join(terms), self._inside)

    def store(self, node: Expr, slot: Slot, *, optional: bool = False) -> None:
        """Store a value in a slot; if optional, only where the engine allocated the array."""
        value = self.value(node)
        guard = ""
        if optional:
            number = self.tables.array(slot.array)
            self._optional[number] = None
            guard = f"if (has{number}) "
        self._inside.append(f"{guard}store<whole>({self._address(slot)}, {value}, n);")

    def store_zero(self, slot: Slot) -> None:
        """Store zeros in a slot."""
        self._inside.append(f"store<whole>({self._address(slot)}, Vec<T>{{}}, n);")

    def accumulate(self, number: int, node: Expr) -> None:
        """Add a value, summed over all rows, to the reduction with this number."""
        value = self.value(node)
        address = f"b.sum[{number}] + unit"
        self._before.append(f"Vec<T> total{number}{{}};")
        self._inside.append(f"total{number} += {value};")
        self._after.append(f"store<whole>({address}, load<whole>({address}, n) + total{number}, n);")

    def store_row_value(self, node: Expr, slot: Slot) -> None:
        """Store a value that a row has once, where the engine allocated the array."""
        self._of_rows.store(node, slot)

    def sum_over_units(self, node: Expr) -> None:
        """Add up a value over units, as the next sum of this stage."""
        self._inside.append(f"of.t{self._totals}[r] += first<whole>({self.value(node)}, n);")
        self._totals += 1

    def text(self) -> str:
        """The source of the function; empty if it has no statements."""
        if self.empty:
            return ""
        of, passed = (f"{self.name}_rows<T> &of, ", "of, ") if self.over_rows else ("", "")
        lines = [
            *self._of_rows.declared(f"{self.name}_rows", self._totals),
            "template <class T, bool whole>",
            f"static inline void {self.name}_part(const Block<T> &b, {of}int64_t u, int n) {{",
            "  [[maybe_unused]] const int64_t hidden = b.hidden, unit = b.first_unit + u, width = b.width;",
            "  [[maybe_unused]] const T *const product = b.product + u;",
            *(f"  T *const *const row{number} = b.row[{number}];" for number in self._used),
            *(f"  const bool has{number} = row{number}[0] != nullptr;" for number in self._optional),
            *(f"  {line}" for line in self._before),
            "  for (int64_t r = 0; r < b.rows; ++r) {",
            *(f"    T *const p{number} = {self._row(number)};" for number in self._used),
            *(f"    {line}" for line in self._inside),
            "  }",
            *(f"  {line}" for line in self._after),
            "}",
            f"template <class T> void {self.name}(const Block<T> &b) {{",
            *self._of_rows.computed(f"{self.name}_rows", self._totals),
            "  int64_t u = 0;",
            f"  for (; u + lanes<T> <= b.units; u += lanes<T>) {self.name}_part<T, true>(b, {passed}u, lanes<T>);",
            f"  if (u < b.units) {self.name}_part<T, false>(b, {passed}u, int(b.units - u));",
            *_RowValues.completed(self._totals),
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

    def _row(self, number: int) -> str:
        address = f"row{number}[r] + unit"
        return f"has{number} ? {address} : nullptr" if number in self._optional else address

    def _load(self, storage: Storage) -> str:
        if isinstance(storage, Accumulator):
            row = f"({storage.first} * most_rows + r * {storage.outputs} + {storage.index})"
            return f"load<true>(product + {row} * width, 0)"
        slots = storage if isinstance(storage, tuple) else (storage,)
        return " + ".join(f"load<whole>({self._address(slot)}, n)" for slot in slots)

    def _address(self, slot: Slot) -> str:
        number = self.tables.array(slot.array)
        self._used[number] = None
        self.blocks_used.setdefault(slot.array, set()).add(slot.block)
        step = "b.input_block" if slot.array == INPUT_PROJECTIONS else "hidden"
        return f"p{number} + {slot.block} * {step}" if slot.block else f"p{number}"


class _RowValues:
    """The values of a function that a row has once, computed before the loop over units."""

    def __init__(self, tables: Tables, storage: Mapping[Expr, Storage]) -> None:
        self._tables, self._storage = tables, storage
        self._names: dict[Expr, str] = {}
        self._kept: dict[str, str] = {}
        self._used: dict[int, None] = {}
        self._lines: list[str] = []

    @property
    def empty(self) -> bool:
        return not self._lines

    @property
    def counts_units(self) -> bool:
        return any("b.hidden" in line for line in self._lines)

    def value(self, node: Expr) -> str:
        """The C++ name of a value, within the loop over rows."""
        if node not in self._names:
            text = self._text(node)
            self._names[node] = f"w{len(self._names)}"
            self._lines.append(f"const Vec<T> {self._names[node]} = {text};")
        return self._names[node]

    def kept(self, node: Expr) -> str:
        """The array that has a value for every row, for the loops over units."""
        name = self.value(node)
        if name not in self._kept:
            self._kept[name] = f"s{len(self._kept)}"
            self._lines.append(f"of.{self._kept[name]}[r] = {name};")
        return self._kept[name]

    def store(self, node: Expr, slot: Slot) -> None:
        """Store a value where the array has memory."""
        self._lines.append(f"if ({self._row(slot)}) {self._row(slot)}[{slot.block}] = {self.value(node)}[0];")

    def declared(self, name: str, totals: int) -> list[str]:
        """The struct of the arrays."""
        arrays = [*self._kept.values(), *(f"t{index}" for index in range(totals))]
        if not arrays:
            return [f"template <class T> struct {name} {{}};"] if self._lines else []
        return [f"template <class T> struct {name} {{", *(f"  Vec<T> {one}[most_rows];" for one in arrays), "};"]

    def computed(self, name: str, totals: int) -> list[str]:
        """The loop over rows before the loop over units."""
        if self.empty and not totals:
            return []
        return [
            f"  {name}<T> of;",
            *(f"  T *const *const row{number} = b.row[{number}];" for number in self._used),
            "  for (int64_t r = 0; r < b.rows; ++r) {",
            *(f"    {line}" for line in self._lines),
            *(f"    of.t{k}[r] = load<true>({_total(k, totals)}, 0);" for k in range(totals)),
            "  }",
        ]

    @staticmethod
    def completed(totals: int) -> list[str]:
        """The loop over rows after the loop over units."""
        stores = [f"store<true>({_total(k, totals)}, of.t{k}[r], 0);" for k in range(totals)]
        return (
            ["  for (int64_t r = 0; r < b.rows; ++r) {", *(f"    {line}" for line in stores), "  }"] if stores else []
        )

    def _text(self, node: Expr) -> str:
        if node.op == "constant":
            return f"broadcast<T>((T){node.attr!r})"
        if node.op == "units":
            return "broadcast<T>((T)b.hidden)"
        if node in self._tables.loop_invariant:
            number = self._tables.vectors.setdefault(node, len(self._tables.vectors))
            return f"broadcast<T>(b.vector[{number}][0])"
        if node in self._storage:
            slot = self._storage[node]
            assert isinstance(slot, Slot)
            return f"broadcast<T>({self._row(slot)}[{slot.block}])"
        return OPERATIONS[node.op].implementation("cpp").format(*map(self._operand, node.args))

    def _operand(self, node: Expr) -> str:
        return self._text(node) if node.op in COMPARISONS else self.value(node)

    def _row(self, slot: Slot) -> str:
        number = self._tables.array(slot.array)
        self._used[number] = None
        return f"row{number}[r]"


def _total(number: int, totals: int) -> str:
    return f"b.total + (r * {totals} + {number}) * lanes<T>"


def values_read(node: Expr) -> Iterator[Expr]:
    """The values that an elementwise node reads; for a comparison, the two compared values."""
    for arg in node.args:
        if arg.op in COMPARISONS:
            yield from arg.args
        else:
            yield arg
