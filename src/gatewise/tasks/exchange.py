"""Lightning's strategy and cluster environment for several processes, and the time that gradients take."""

import time
from typing import Any

import torch
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor, distributed
from torch._C._distributed_c10d import GradBucket
from torch.nn.parallel import DistributedDataParallel

from gatewise.tasks import world
from gatewise.tasks.launcher import RankInfo


class Exchange:
    """Sums the gradients of all processes (a DDP communication hook).

    Attributes:
        seconds: how long steps have waited for the sums in all, after their own gradients were computed.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._waits_from: float | None = None

    def add(self, bucket: GradBucket) -> torch.futures.Future[Tensor]:
        """Start the all-reduce of a bucket of gradients."""
        self._waits_from = None
        work = distributed.all_reduce(bucket.buffer(), async_op=True)
        assert work is not None
        if bucket.is_last():
            self._waits_from = time.perf_counter()
        return work.get_future().then(self._done)

    def _done(self, future: torch.futures.Future[Any]) -> Tensor:
        if self._waits_from is not None:
            now = time.perf_counter()
            self.seconds += now - self._waits_from
            self._waits_from = now
        return future.value()[0]


class Processes(DDPStrategy):
    """Lightning's strategy for an initialized process group, which sums gradients instead of averaging them.

    Args:
        exchange: the communication hook.
    """

    def __init__(self, exchange: Exchange) -> None:
        # All processes start with the same weights and buffers, and the same updates.
        super().__init__(broadcast_buffers=False, gradient_as_bucket_view=True)
        self._exchange = exchange

    def configure_ddp(self) -> None:
        """Lightning's hook."""
        super().configure_ddp()
        assert isinstance(self.model, DistributedDataParallel)
        self.model.register_comm_hook(self._exchange, Exchange.add)


class LauncherEnvironment(ClusterEnvironment):
    """The cluster environment of processes that a launcher has started.

    Args:
        info: the rank of this process.
    """

    def __init__(self, info: RankInfo) -> None:
        super().__init__()
        self._info = info

    @property
    def creates_processes_externally(self) -> bool:
        return True

    @property
    def main_address(self) -> str:
        return ""  # they have met already

    @property
    def main_port(self) -> int:
        return 0

    @staticmethod
    def detect() -> bool:
        return world.rank_info() is not None

    def world_size(self) -> int:
        return self._info.size

    def set_world_size(self, size: int) -> None:
        pass

    def global_rank(self) -> int:
        return self._info.rank

    def set_global_rank(self, rank: int) -> None:
        pass

    def local_rank(self) -> int:  # Lightning asks for the place among the devices
        return world.device_index(self._info)

    def node_rank(self) -> int:
        return self._info.rank // (self._info.local_size or self._info.size)
