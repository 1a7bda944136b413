"""Parameters in the layout that the engine reads: recurrent blocks packed for the tile.

In training they are packed anew in every call. With gradients off, and inside `frozen`, what was packed is kept as long
as the parameters are the same tensors, at the same place, of the same version, and until an optimiser has made a step:
torch's fused ones leave versions as they are. A call in training ends it too. Beside other processes of
torch.distributed they are kept inside `frozen` alone.
"""

import os
import weakref
from array import array
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor, distributed
from torch.optim.optimizer import Optimizer, register_optimizer_step_post_hook

from gatewise.compiler.emit import Direction
from gatewise.equations import Expr
from gatewise.kernels.call import Call
from gatewise.kernels.cpu import memory
from gatewise.kernels.cpu.library import engine
from gatewise.kernels.cpu.program import BlocksOf, evaluate
from gatewise.kernels.cpu.split import threads
from gatewise.kernels.cpu.taping import Words, current, derived

LIMIT = 64  # directions of layers whose weights are kept
WORTH_SHARING = 1 << 17  # numbers to pack from which a second thread helps

Packed = tuple[Tensor, ...]
Made = TypeVar("Made")
_Stamp = tuple[int, int | None]


class _Kept(NamedTuple):
    owners: tuple["weakref.ref[Tensor]", ...]
    stamps: tuple[_Stamp, ...]
    storages: tuple[torch.UntypedStorage, ...]  # held, so that no other tensor gets the address
    made: dict[Hashable, Any]


# By the ids of the owners. Only single operations that no other thread can come between, so a call waits for no lock.
_cache: dict[tuple[int, ...], _Kept] = {}
_frozen: Counter[int] = Counter()
_freezing = Lock()


def kept_or_made(owners: Sequence[Tensor], key: Hashable, make: Callable[[], Made], *, training: bool) -> Made:
    """What `make` computes from these tensors alone: kept from an earlier call, or made now.

    Arguments:
        owners: a layer's parameters.
        key: tells what else it depends on.
        make: computes it.
        training: whether gradients are recorded: what writes to parameters then may not show in their version.
    """
    ids = tuple(map(id, owners))
    if not _are_frozen(ids):
        if training:
            _cache.pop(ids, None)
        if training or _may_be_gathered() or any(owner.is_inference() for owner in owners):
            return make()
    kept = _kept(ids, owners).made
    if key not in kept:
        kept[key] = make()
    return kept[key]


def _are_frozen(ids: tuple[int, ...]) -> bool:
    return bool(_frozen) and all(one in _frozen for one in ids)


def _may_be_gathered() -> bool:
    """FSDP gathers weights into the tensors of the last time, which keep their version and may keep their place."""
    return distributed.is_available() and distributed.is_initialized()


class Unchanged:
    """Tells whether some layers' parameters still are what they were when something was kept of them.

    For whom asks in every step of a stream: that takes a third of looking it up.
    """

    __slots__ = ("_kept", "_owners")

    def __init__(
        self, owners: Sequence[tuple[str, Tensor, int, int | None]], kept: Sequence[tuple[tuple[int, ...], _Kept]]
    ) -> None:
        self._owners, self._kept = tuple(owners), tuple(kept)

    @classmethod
    def of(cls, parameters: Mapping[str, Tensor | None], names: Sequence[Sequence[str]]) -> "Unchanged | None":
        """None when of some layer nothing is kept, or a write to its parameters does not show.

        Arguments:
            parameters: of the module, by name.
            names: of those of every layer.
        """
        owners: list[tuple[str, Tensor, int, int | None]] = []
        kept: list[tuple[tuple[int, ...], _Kept]] = []
        for of_layer in names:
            found = [parameters.get(name) for name in of_layer]
            ids = tuple(map(id, found))
            if (entry := _cache.get(ids)) is None or (_may_be_gathered() and not _are_frozen(ids)):
                return None
            kept.append((ids, entry))
            for name, owner, (address, version) in zip(of_layer, found, entry.stamps, strict=True):
                if owner is None or version is None:
                    return None
                owners.append((name, owner, address, version))
        now = cls(owners, kept)
        return now if now.hold(parameters) else None

    def hold(self, parameters: Mapping[str, Tensor | None]) -> bool:
        """Whether it is so of the module's parameters."""
        find = parameters.get
        for name, owner, address, version in self._owners:
            if find(name) is not owner or owner._version != version or owner.data_ptr() != address:
                return False
        for ids, kept in self._kept:  # noqa: SIM110 (a generator takes longer)
            if _cache.get(ids) is not kept:
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


def vectors(call: Call, direction: Direction) -> tuple[Tensor, ...]:
    """The values of ``Direction.vectors``, (H,) each."""
    return tuple([derived(call, _of(vector)) for vector in direction.vectors])


def _of(vector: Expr) -> Callable[[Call], Tensor]:
    return lambda call: evaluate(vector, {}, BlocksOf(call)).contiguous()


def _kept(ids: tuple[int, ...], owners: Sequence[Tensor]) -> _Kept:
    stamps = tuple((owner.data_ptr(), None if owner.is_inference() else owner._version) for owner in owners)
    kept = _cache.get(ids)
    # Identity is asked of the owner itself: an id can be given to a new tensor once the old one is gone.
    if (
        kept is not None
        and kept.stamps == stamps
        and all(reference() is owner for reference, owner in zip(kept.owners, owners, strict=True))
    ):
        return kept

    def drop(_: object) -> None:
        _cache.pop(ids, None)

    kept = _Kept(
        tuple(weakref.ref(owner, drop) for owner in owners),
        stamps,
        tuple(owner.untyped_storage() for owner in owners),
        {},
    )
    _cache[ids] = kept
    for oldest in list(_cache)[:-LIMIT]:
        _cache.pop(oldest, None)
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


def end(owners: Sequence[Tensor]) -> None:
    """Keep nothing of a direction's parameters any longer: a call in training has begun."""
    _cache.pop(tuple(map(id, owners)), None)


def forget(owners: Iterable[Tensor]) -> None:
    """Pack these tensors again at the next call: after they were written in a way that their version does not show."""
    gone = set(map(id, owners))
    for ids in list(_cache):
        if not gone.isdisjoint(ids):
            _cache.pop(ids, None)


def _after_step(optimiser: Optimizer, arguments: tuple[object, ...], options: dict[str, object]) -> None:
    if _cache:
        forget(parameter for group in optimiser.param_groups for parameter in group["params"])


register_optimizer_step_post_hook(_after_step)
# A forked child shares its work out in another way.
os.register_at_fork(after_in_child=_cache.clear)
