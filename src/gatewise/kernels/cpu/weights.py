"""Parameters in the layout that the engine reads: recurrent blocks packed for the tile.

They are packed anew in every call: a tensor does not show every write to it. Another process writes to shared memory,
``.data`` and torch's fused optimisers leave versions as they are. What was packed is kept only where the user says that
the weights stay: inside `frozen`, and by an open stream. There a change that shows, of a parameter's identity, place
or version, is noticed, and so is a step of an optimiser.
"""

import os
from array import array
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import RLock
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor, distributed
from torch.optim.optimizer import Optimizer, register_optimizer_step_post_hook

from gatewise.compiler.emit import Direction
from gatewise.equations import Expr
from gatewise.kernels.call import Call
from gatewise.kernels.cpu import memory
from gatewise.kernels.cpu.library import engine
from gatewise.kernels.cpu.program import BlocksOf, evaluate_rows
from gatewise.kernels.cpu.split import threads
from gatewise.kernels.cpu.taping import Words, current, derived

WORTH_SHARING = 1 << 17  # numbers to pack from which a second thread helps

Packed = tuple[Tensor, ...]
Made = TypeVar("Made")
_Stamp = tuple[int, int | None]


class _Kept(NamedTuple):
    stamps: tuple[_Stamp, ...]
    storages: tuple[torch.UntypedStorage, ...]  # held, so that no other tensor gets the address
    made: dict[Hashable, Any]


# By the ids of the owners, which `frozen` holds. Only single operations that no other thread can come between, so a
# call waits for no lock.
_cache: dict[tuple[int, ...], _Kept] = {}
_frozen: Counter[int] = Counter()
_freezing = RLock()  # a finaliser may freeze others
_forgotten = 0  # how often `forget` was called


def kept_or_made(owners: Sequence[Tensor], key: Hashable, make: Callable[[], Made]) -> Made:
    """What `make` computes from these tensors alone: inside `frozen` kept from an earlier call, else made now.

    Arguments:
        owners: a layer's parameters.
        key: tells what else it depends on.
        make: computes it, in memory that it does not share with the owners.
    """
    ids = tuple(map(id, owners))
    if not _are_frozen(ids):
        return make()
    kept = _kept(ids, owners).made
    if key not in kept:
        kept[key] = make()
    return kept[key]


def are_frozen(owners: Iterable[Tensor | None]) -> bool:
    """Whether all of these tensors are."""
    return _are_frozen(map(id, owners))


def _are_frozen(ids: Iterable[int]) -> bool:
    return bool(_frozen) and all(one in _frozen for one in ids)


def _may_be_gathered() -> bool:
    """FSDP gathers weights into the tensors of the last time, which keep their version and may keep their place."""
    return distributed.is_available() and distributed.is_initialized()


class Unchanged:
    """Tells whether a module's parameters still are what they were, as far as that shows, and nothing was forgotten."""

    __slots__ = ("_forgotten", "_owners")

    def __init__(self, owners: Sequence[tuple[str, Tensor, int, int]]) -> None:
        self._owners, self._forgotten = tuple(owners), _forgotten

    @classmethod
    def of(cls, parameters: Mapping[str, Tensor | None], names: Iterable[str]) -> "Unchanged | None":
        """None when a write to the parameters would not show at all.

        Arguments:
            parameters: of the module, by name.
            names: those that matter.
        """
        owners: list[tuple[str, Tensor, int, int]] = []
        for name in names:
            owner = parameters.get(name)
            if owner is None or owner.is_inference():
                return None
            owners.append((name, owner, owner.data_ptr(), owner._version))
        if _may_be_gathered() and not are_frozen(owner for _, owner, _, _ in owners):
            return None
        return cls(owners)

    def hold(self, parameters: Mapping[str, Tensor | None]) -> bool:
        """Whether it is so of the module's parameters."""
        if self._forgotten != _forgotten:
            return False
        find = parameters.get
        for name, owner, address, version in self._owners:
            if find(name) is not owner or owner._version != version or owner.data_ptr() != address:
                return False
        return True


def pack(
    addresses: Sequence[int], dtype: torch.dtype, hidden_size: int, depth: int, group: int, *, transposed: bool = False
) -> Tensor:
    """Blocks of (H, depth) laid out for the tile.

    Arguments:
        addresses: where the blocks begin, their elements one after the other.
        dtype: of the elements.
        hidden_size: H.
        depth: of the products.
        group: width of a strip per output.
        transposed: whether the products are with the transposed blocks, which then are square.
    """
    strips = -(-hidden_size // group)
    target = memory.empty((strips * depth * len(addresses) * group,), dtype)
    blocks, slices = array("q", addresses), threads() if target.numel() >= WORTH_SHARING else 1
    to = target.data_ptr()
    words = (blocks.buffer_info()[0], len(blocks), hidden_size, depth, group, transposed, to, slices)
    packing = array("q", words)
    engine(dtype).pack(dtype, packing, slices)
    if (writing := current()) is not None:
        writing.pack(Words(packing, len(packing), (0, 6)), blocks, target)
    return target


def pack_products(direction: Direction, blocks: BlocksOf, hidden_size: int, group: int, *, transposed: bool) -> Packed:
    """The recurrent weights of a direction's products."""
    return tuple(
        pack(
            [blocks.address(block) for block in product.blocks],
            blocks.dtype,
            hidden_size,
            hidden_size,
            group,
            transposed=transposed,
        )
        for stage in direction.stages
        for product in stage.products
    )


def vectors(call: Call, direction: Direction, *, kept: bool) -> tuple[Tensor, ...]:
    """The values of ``Direction.vectors``, (H,) each; if they are kept, none of them is a parameter itself."""
    values = [derived(call, _of(vector)) for vector in direction.vectors]
    return tuple([value.clone() for value in values] if kept else values)


def _of(vector: Expr) -> Callable[[Call], Tensor]:
    return lambda call: evaluate_rows(vector, {}, BlocksOf(call), call.hidden_size).contiguous()


def _kept(ids: tuple[int, ...], owners: Sequence[Tensor]) -> _Kept:
    stamps = tuple((owner.data_ptr(), None if owner.is_inference() else owner._version) for owner in owners)
    kept = _cache.get(ids)
    if kept is None or kept.stamps != stamps:
        kept = _cache[ids] = _Kept(stamps, tuple(owner.untyped_storage() for owner in owners), {})
    return kept


@contextmanager
def frozen(owners: Iterable[Tensor]) -> Iterator[None]:
    """Keep the packed weights of these tensors in training calls too, and of inference tensors, which have no version.

    What versions show is noticed here as elsewhere; after any other write `forget` is called.
    """
    owners = tuple(owners)
    forget(owners)
    with _freezing:
        _frozen.update(map(id, owners))
    try:
        yield
    finally:
        with _freezing:
            _frozen.subtract(map(id, owners))
            for owner in owners:
                if not _frozen[id(owner)]:
                    del _frozen[id(owner)]
        forget(owners)


def any_frozen() -> bool:
    """Whether some parameters are."""
    return bool(_frozen)


def forget(owners: Iterable[Tensor]) -> None:
    """Pack these tensors again at the next call: after they were written in a way that their version does not show."""
    global _forgotten
    gone = set(map(id, owners))
    for ids in list(_cache):
        if not gone.isdisjoint(ids):
            _cache.pop(ids, None)
    _forgotten += 1


def _after_step(optimiser: Optimizer, arguments: tuple[object, ...], options: dict[str, object]) -> None:
    forget(parameter for group in optimiser.param_groups for parameter in group["params"])


def _after_fork() -> None:
    forget(())
    _cache.clear()


register_optimizer_step_post_hook(_after_step)
# A forked child shares its work out in another way.
os.register_at_fork(after_in_child=_after_fork)
