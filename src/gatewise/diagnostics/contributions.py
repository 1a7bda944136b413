"""The contribution of each time step to the gradient of each weight."""

from itertools import pairwise

import torch
from torch import Tensor

from gatewise.diagnostics.call_record import CallRecord
from gatewise.diagnostics.replay import Steps, products_of, steps_of, vectors_of
from gatewise.equations import Parameter
from gatewise.kernels.evaluation import outer_sum
from gatewise.kernels.norms import row_norms


def contributions_of(record: CallRecord, *, shares: bool) -> list[dict[str, Tensor]]:
    """The norm (T,) of each step's contribution by direction and parameter group, or the contributions (T, …)."""
    return [_of_direction(record, steps, shares) for steps in steps_of(record)]


def _of_direction(record: CallRecord, steps: Steps, shares: bool) -> dict[str, Tensor]:
    call, cell = steps.call, steps.call.cell
    products, vectors = products_of(cell), vectors_of(cell)
    deltas = steps.within([*products, *vectors])
    matrices: dict[Parameter, list[tuple[Tensor, Tensor]]] = {}
    for node, delta in zip(products, deltas, strict=False):
        block = node.args[0].attr
        assert isinstance(block, Parameter)
        matrices.setdefault(block, []).append((delta, steps.values[node.args[1]].detach()))
    of_vector = dict(zip(vectors.values(), deltas[len(products) :], strict=True))
    step = steps.index // record.rows
    bounds = torch.searchsorted(step, torch.arange(record.steps + 1, device=step.device)).tolist()
    found: dict[str, list[Tensor]] = {group: [] for group in cell.groups}
    for begin, end in pairwise(bounds):
        for group, whole in zip(cell.groups, call.parameters, strict=True):
            share, gates = torch.zeros_like(whole), cell.gates_of(group)
            for gate, part in zip(gates, share.chunk(len(gates)), strict=True):
                for delta, operand in matrices.get(Parameter(group, gate), ()):
                    part += outer_sum(delta[begin:end], operand[begin:end], call.heads if group in cell.heads else 1)
                if Parameter(group, gate) in of_vector:
                    part += of_vector[Parameter(group, gate)][begin:end].sum(dim=0)
            found[group].append(share if shares else row_norms(share.reshape(1, -1))[0])
    return {group: torch.stack(parts) for group, parts in found.items()}
