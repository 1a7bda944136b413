"""The loop over time that a careful hand would write with torch's eager operations, as Python source.

Everything that does not depend on the state is taken out of the loop; gates that multiply the same value share one
product, which adds what comes from the input too; gates with the same activation are adjacent and share it; and
`lerp`, `addcmul` and `clamp` take the place of two or three operations.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

from gatewise.compiler import plan
from gatewise.compiler.cpp import values_read
from gatewise.compiler.simplify import number, simplify
from gatewise.equations import Cell, Expr, Parameter, topological
from gatewise.equations.operations import OPERATIONS


class Sum(NamedTuple):
    """A sum with products in it.

    Attributes:
        root: its node.
        products: by the operand.
        from_input: a term computed from x alone.
        bias: a term of parameters alone.
        rest: other terms.
    """

    root: Expr
    products: dict[Expr, Expr]
    from_input: Expr | None
    bias: Expr | None
    rest: list[Expr]


def generate(cell: Cell) -> str:
    """The source of a function ``loop``, from x (T, B, I) and the weights, in the order of the groups, to (T, B, H).

    >>> from gatewise.cells import lookup
    >>> print(generate(lookup("rnn_tanh")))
    def loop(x, weight_W, weight_R, weight_b, weight_d):
        H = weight_W.shape[0] // 1
        x0 = torch.nn.functional.linear(x, weight_W, weight_b + weight_d)
        m0 = weight_R.t()
        h = x.new_zeros(x.shape[1], H)
        outputs = []
        for x0 in x0.unbind():
            v0 = torch.addmm(x0, h, m0)
            v1 = v0.tanh()
            h = v1
            outputs.append(h)
        return torch.stack(outputs)
    """
    return _Generator(cell).generate()


class _Generator:
    def __init__(self, cell: Cell) -> None:
        planned = plan(cell)
        self._cell, self._outputs = cell, planned.outputs
        self._inputs, self._hoisted = set(planned.input_projections), set(planned.hoisted)
        self._states = [name if name in ("h", "c") else f"state_{name}" for name in cell.states]
        loop: list[Expr] = []
        for node in (node for stage in planned.stages for node in (*stage.products, *stage.work)):
            read = [node.args[1]] if node.op == "matmul" else [one for one in values_read(node) if number(one) is None]
            # A sum over units has one column, and the parts of x are cut into blocks of H: it is taken at every step.
            if node.op != "sum" and all(one in self._inputs or one in self._hoisted for one in read):
                self._inputs.add(node)
            else:
                loop.append(node)
        self._readers: dict[Expr, list[Expr]] = {}
        for node in loop:
            for arg in node.args[1:] if node.op == "matmul" else values_read(node):
                self._readers.setdefault(arg, []).append(node)
        self._uses = Counter({node: len(readers) for node, readers in self._readers.items()})
        self._uses.update(planned.outputs)
        self._body: list[str] = []
        self._count = 0
        states = (Expr.make("state", attr=name) for name in cell.states)
        self._names = dict(zip(states, self._states, strict=True))
        self._prologue: list[str] = []
        self._invariant: dict[Expr, str] = {}
        self._step_inputs: list[str] = []
        additions = self._additions(loop)
        self._fused: dict[Expr, list[Sum]] = {}
        self._unfinished: dict[Expr, tuple[str, list[Expr]]] = {}
        groups: dict[tuple[Expr, ...], list[Sum]] = {}
        for one in additions:
            groups.setdefault(tuple(one.products), []).append(one)
        for group in groups.values():
            group.sort(key=self._rank)  # blocks in the order in which they are stored need no copy
            kinds = list(dict.fromkeys(self._kind(one) for one in group))
            group.sort(key=lambda one: (one.from_input is None, kinds.index(self._kind(one))))
            for one in group:
                self._fused.update((node, group) for node in (one.root, *self._chain(one)))
        in_sums = {one.from_input for one in additions}
        alone = [node for node in self._readers if node in self._inputs and node not in in_sums]
        alone = list(dict.fromkeys([*alone, *(node for node in planned.outputs if node in self._inputs)]))
        if alone:
            value = self._input(alone)
            self._names.update(zip(alone, self._split(value, [1] * len(alone)), strict=True))

    def generate(self) -> str:
        values = [self._value(output) for output in self._outputs]
        values = [
            f"torch.zeros_like({self._states[0]}) + {value}"
            if number(output) is not None or output in self._hoisted
            else value
            for value, output in zip(values, self._outputs, strict=True)
        ]
        weights = [f"weight_{group}" for group in self._cell.groups]
        over = ", ".join(f"{x}.unbind()" for x in self._step_inputs)
        inside = [
            *self._body,
            f"{', '.join(self._states)} = {', '.join(values)}",
            f"outputs.append({self._states[0]})",
        ]
        first = self._cell.groups[0]
        lines = [
            f"def loop({', '.join(['x', *weights])}):",
            f"    H = weight_{first}.shape[0] // {len(self._cell.gates_of(first))}",
            *(f"    {line}" for line in self._prologue),
            f"    {' = '.join(self._states)} = x.new_zeros(x.shape[1], H)",
            "    outputs = []",
            f"    for {', '.join(self._step_inputs)} in {over if len(self._step_inputs) == 1 else f'zip({over})'}:",
            *(f"        {line}" for line in inside),
            "    return torch.stack(outputs)",
        ]
        return "\n".join(lines)

    def _additions(self, loop: Sequence[Expr]) -> list[Sum]:
        """The sums that products end in, each once."""
        own_products = dict.fromkeys(node for node in loop if node.op == "matmul")
        roots: dict[Expr, None] = {}
        for top in own_products:
            while self._uses[top] == 1 and (readers := self._readers.get(top)) and readers[0].op == "add":
                top = readers[0]
            roots[top] = None
        additions: list[Sum] = []
        for root in roots:
            products: dict[Expr, Expr] = {}
            rest: list[Expr] = []
            from_input = bias = None
            for term in self._terms(root, top=True):
                alone = term is root or self._uses[term] == 1
                if term in self._inputs and alone and from_input is None:
                    from_input = term
                elif term in own_products and alone and term.args[1] not in products:
                    products[term.args[1]] = term
                elif term in self._hoisted and bias is None:
                    bias = term
                else:
                    rest.append(term)
            additions.append(Sum(root, products, from_input, bias, rest))
            # Two products with one operand: the second is a sum of its own.
            additions += [
                Sum(term, {term.args[1]: term}, None, None, [])
                for term in rest
                if self._uses[term] == 1 and term in own_products
            ]
        return additions

    def _terms(self, node: Expr, top: bool = False) -> list[Expr]:
        inside = node.op == "add" and node not in self._inputs and node not in self._hoisted
        if inside and (top or self._uses[node] == 1):
            return [term for arg in node.args for term in self._terms(arg)]
        return [node]

    def _chain(self, one: Sum) -> list[Expr]:
        """What is done to a sum alone, step by step: activations, operations with numbers."""
        chain: list[Expr] = []
        node = one.root
        while not one.rest and self._uses[node] == 1 and (readers := self._readers.get(node)):
            node = readers[0]
            if sum(number(arg) is None for arg in node.args) != 1 or node.op in ("matmul", "where"):
                break
            chain.append(node)
        return chain

    def _kind(self, one: Sum) -> tuple[object, ...]:
        """Equal for sums to which the same is done."""
        return tuple((node.op, *map(number, node.args)) for node in self._chain(one))

    def _rank(self, one: Sum) -> int:
        block = next(iter(one.products.values())).args[0].attr
        assert isinstance(block, Parameter)
        return self._cell.gates_of(block.group).index(block.gate)

    def _emit(self, text: str) -> str:
        name = f"v{self._count}"
        self._count += 1
        self._body.append(f"{name} = {text}")
        return name

    def _emit_prologue(self, letter: str, text: str) -> str:
        """The name of what is computed before the loop."""
        name = f"{letter}{sum(line.startswith(letter) for line in self._prologue)}"
        self._prologue.append(f"{name} = {text}")
        return name

    def _invariant_value(self, node: Expr) -> str:
        """The name of an expression of parameters and x alone, or its number."""
        if (constant := number(node)) is not None:
            return repr(constant)
        if node.op == "input":
            return "x"
        if isinstance(node.attr, Parameter):
            return self._weight_blocks([node.attr])
        if node not in self._invariant:
            if all(leaf.op == "constant" for leaf in topological([node]) if not leaf.args):
                text = f"x.new_full((H,), {number(simplify([node], exact=False)[0])!r})"
            elif node.op == "matmul":
                weight, operand = map(self._invariant_value, node.args)
                text = f"torch.nn.functional.linear({operand}, {weight})"
            elif node.op == "where":
                text = self._where(node, self._invariant_value)
            else:
                text = _operation(node, list(map(self._invariant_value, node.args)))
            self._invariant[node] = self._emit_prologue("s", text)
        return self._invariant[node]

    def _weight_blocks(self, blocks: Sequence[Parameter]) -> str:
        """Parameter blocks on top of each other."""
        group = blocks[0].group
        gates = self._cell.gates_of(group)
        if all(block.group == group for block in blocks):
            position = [gates.index(block.gate) for block in blocks]
            if position == list(range(len(gates))):
                return f"weight_{group}"
            if position == list(range(position[0], position[0] + len(position))):
                return f"weight_{group}[{position[0]} * H : {position[-1] + 1} * H]"
        return f"torch.cat([{', '.join(self._weight_blocks([block]) for block in blocks)}])"

    def _matrix(self, products: Sequence[Expr]) -> str:
        return self._weight_blocks([block for one in products if isinstance(block := one.args[0].attr, Parameter)])

    def _bias(self, nodes: Sequence[Expr | None]) -> str:
        """Vectors side by side; None is zero."""
        if all(node is not None and node.op == "add" for node in nodes):
            left, right = ([node.args[position] for node in nodes if node is not None] for position in (0, 1))
            return f"{self._bias(left)} + {self._bias(right)}"
        leaves = [node.attr for node in nodes if node is not None and isinstance(node.attr, Parameter)]
        if len(leaves) == len(nodes):
            return self._weight_blocks(leaves)
        parts = ["x.new_zeros(H)" if node is None else self._invariant_value(node) for node in nodes]
        return f"torch.cat([{', '.join(parts)}])"

    def _input(self, nodes: Sequence[Expr]) -> str:
        """Values computed from x alone, side by side; by one product where each is a product or that and a bias."""
        products = [node.args[0] if node.op == "add" else node for node in nodes]
        added = [node.args[1] if node.op == "add" else None for node in nodes]
        if all(node.op == "matmul" and node.args[1].op == "input" for node in products) and all(
            term is None or term in self._hoisted for term in added
        ):
            bias = f", {self._bias(added)}" if any(term is not None for term in added) else ""
            text = f"torch.nn.functional.linear(x, {self._matrix(products)}{bias})"
        elif len(nodes) == 1:
            text = self._invariant_value(nodes[0])
        else:
            text = f"torch.cat([{', '.join(map(self._invariant_value, nodes))}], -1)"
        self._step_inputs.append(self._emit_prologue("x", text))
        return self._step_inputs[-1]

    def _split(self, value: str, widths: Sequence[int]) -> list[str]:
        """A value (B, k·H) cut into blocks of a multiple of H columns."""
        if len(widths) < 2:
            return [value] * len(widths)
        names = [f"v{self._count + position}" for position in range(len(widths))]
        self._count += len(widths)
        blocks = ", ".join(f"{width} * H" for width in widths)
        how = f"chunk({len(widths)}, 1)" if len(set(widths)) == 1 else f"split([{blocks}], 1)"
        self._body.append(f"{', '.join(names)} = {value}.{how}")
        return names

    def _value(self, node: Expr) -> str:
        """The name of a node's value, or its number."""
        if (constant := number(node)) is not None:
            return repr(constant)
        if node not in self._names:
            if node in self._hoisted:
                fixed = self._invariant_value(node)
                self._names[node] = fixed if fixed.isidentifier() else self._emit_prologue("s", fixed)
            elif node.op == "units":
                self._names[node] = self._emit_prologue("s", "x.new_tensor(H)")
            elif node in self._unfinished:
                value, rest = self._unfinished.pop(node)
                for term in rest:
                    value = self._emit(self._add(value, term))
                self._names[node] = value
            elif node in self._fused and not any(one.root in self._names for one in self._fused[node]):
                self._multiply(self._fused[node])
                return self._value(node)
            else:
                self._names[node] = self._emit(self._computed(node))
        return self._names[node]

    def _multiply(self, group: Sequence[Sum]) -> None:
        """All sums of the same operands, by one product for each operand; those with a part from x come first."""
        fed = [one.from_input for one in group if one.from_input is not None]
        x = self._input(fed) if fed else None
        whole = len(fed) == len(group) and all(one.bias is None for one in group)
        total = x if whole else None
        if any(one.bias is not None for one in group):
            total = self._emit_prologue("b", self._bias([one.bias for one in group]))
        for operand in group[0].products:
            value = self._value(operand)
            matrix = self._matrix([one.products[operand] for one in group])
            by = f"{value}, {self._emit_prologue('m', f'{matrix}.t()')}"
            total = self._emit(f"torch.mm({by})" if total is None else f"torch.addmm({total}, {by})")
        assert total is not None
        halves = [half for half in (group[: len(fed)], group[len(fed) :]) if half]
        for half, part in zip(halves, self._split(total, [len(half) for half in halves]), strict=True):
            if half[0].from_input is not None and not whole:
                part = self._emit(f"{x} + {part}")
            runs = [[one for one in half if self._kind(one) == kind] for kind in dict.fromkeys(map(self._kind, half))]
            for run, columns in zip(runs, self._split(part, [len(run) for run in runs]), strict=True):
                self._finish(run, columns)

    def _finish(self, run: Sequence[Sum], value: str) -> None:
        """Name the sums of one kind, which are adjacent in a value, or what is done to all of them."""
        ends = [(self._chain(one) or [one.root])[-1] for one in run]
        self._names[run[0].root] = value
        value = self._value(ends[0])
        for one, end, part in zip(run, ends, self._split(value, [1] * len(run)), strict=True):
            self._names[one.root] = self._names[end] = part
            if one.rest:
                del self._names[one.root]
                self._unfinished[one.root] = part, one.rest

    def _computed(self, node: Expr) -> str:
        """A node's value from those of its operands."""
        args = node.args
        if node.op == "add":
            return self._lerp(*args) or self._lerp(*reversed(args)) or self._sum(*args)
        if node.op in ("minimum", "maximum"):
            return self._clamp(node)
        if node.op == "where":
            return self._where(node, self._value)
        return _operation(node, [self._value(arg) for arg in args])

    def _where(self, node: Expr, value: Callable[[Expr], str]) -> str:
        condition, *branches = node.args
        a, b = map(value, condition.args)
        return f"torch.where({a} {OPERATIONS[condition.op].infix} {b}, {', '.join(map(value, branches))})"

    def _sum(self, a: Expr, b: Expr) -> str:
        if not self._is_product(b) and self._is_product(a):
            a, b = b, a
        return self._add(self._value(a), b)

    def _add(self, value: str, term: Expr) -> str:
        """A value plus a term, which a product of two tensors can be a part of."""
        if self._is_product(term) and _is_tensor(value):
            return f"torch.addcmul({value}, {', '.join(map(self._value, term.args))})"
        return f"{value} + {self._value(term)}"

    def _is_product(self, node: Expr) -> bool:
        within = node.op == "mul" and self._uses[node] == 1 and node not in self._names
        return within and node not in self._hoisted and all(number(arg) is None for arg in node.args)

    def _lerp(self, a: Expr, b: Expr) -> str | None:
        """(1 − z) · p + z · q as one operation, or None when the sum is something else."""
        if not (self._is_product(a) and self._is_product(b)):
            return None
        for rest, p in (a.args, a.args[::-1]):
            if rest.op != "sub" or number(rest.args[0]) != 1:
                continue
            for z, q in (b.args, b.args[::-1]):
                if z is rest.args[1]:
                    return f"torch.lerp({self._value(p)}, {self._value(q)}, {self._value(z)})"
        return None

    def _clamp(self, node: Expr) -> str:
        """The smaller or larger of two values; by `clamp` where one is a number, or two limits follow one another."""
        limits: dict[str, float] = {}
        inner = node
        while inner.op in ("minimum", "maximum") and (inner is node or self._uses[inner] == 1):
            side = "max" if inner.op == "minimum" else "min"
            numbers = [found for arg in inner.args if (found := number(arg)) is not None]
            if len(numbers) != 1 or side in limits or limits.get("min", numbers[0]) > limits.get("max", numbers[0]):
                break
            limits[side] = numbers[0]
            (inner,) = (arg for arg in inner.args if number(arg) is None)
        if limits and limits.get("min", -float("inf")) <= limits.get("max", float("inf")):
            return f"{self._value(inner)}.clamp({', '.join(f'{side}={limit!r}' for side, limit in limits.items())})"
        a, b = map(self._value, node.args)
        return f"torch.{node.op}({a}, {b})"


def _operation(node: Expr, values: Sequence[str]) -> str:
    """An operation on values."""
    if node.op == "sum":
        return f"{values[0]}.sum(-1, keepdim=True)"
    operation = OPERATIONS[node.op]
    if operation.infix:
        return f"{values[0]} {operation.infix} {values[1]}"
    if node.op in ("minimum", "maximum"):
        side = "max" if node.op == "minimum" else "min"
        a, b = values if _is_tensor(values[0]) else values[::-1]
        return f"torch.{node.op}({a}, {b})" if _is_tensor(b) else f"{a}.clamp({side}={b})"
    if node.op == "neg":
        return f"-{values[0]}"
    function = operation.implementation("torch")
    module, _, method = function.rpartition(".")
    one = module == "torch" and operation.arity == 1
    return f"{values[0]}.{method}()" if one else f"{function}({', '.join(values)})"


def _is_tensor(value: str) -> bool:
    """Whether a name is that of a tensor."""
    return value[:1].isalpha()
