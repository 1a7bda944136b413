"""What started this process beside others: torchrun, SLURM, `gatewise train --devices`, or any launcher like them."""

import fcntl
import os
import socket
import struct
from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple

_INTERFACE_ADDRESS = 0x8915  # SIOCGIFADDR of Linux


class RankInfo(NamedTuple):
    """The rank of a process among those of a run.

    Attributes:
        rank: its number among all.
        size: how many there are.
        local_rank: its number among those on this machine.
        local_size: how many are on this machine; None where the launcher does not say.
        launcher: what started them, for people.
    """

    rank: int
    size: int
    local_rank: int
    local_size: int | None
    launcher: str


def rank_info_of(environment: Mapping[str, str]) -> RankInfo | None:
    """The rank that a launcher has written into the environment; None for a process on its own.

    Raises:
        ValueError: when a variable is missing, or is not a number.

    >>> rank_info_of({"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "MASTER_ADDR": "n0", "MASTER_PORT": "29500"})
    RankInfo(rank=1, size=2, local_rank=1, local_size=None, launcher='RANK and WORLD_SIZE')
    """
    if "RANK" in environment and "WORLD_SIZE" in environment:
        name = "torchrun" if "TORCHELASTIC_RUN_ID" in environment else "RANK and WORLD_SIZE"
        rank, size = (_number(environment, variable) for variable in ("RANK", "WORLD_SIZE"))
        if size < 2:
            return None
        for variable in ("LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"):
            if variable not in environment:
                raise ValueError(
                    f"{variable}: is not set, but WORLD_SIZE is {size}; a launcher of several processes sets RANK, "
                    "WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT (unset WORLD_SIZE for one process)"
                )
        local = _number(environment, "LOCAL_WORLD_SIZE") if "LOCAL_WORLD_SIZE" in environment else None
        return RankInfo(rank, size, _number(environment, "LOCAL_RANK"), local, name)
    # Set within srun alone: a batch script has the number of tasks of the job, which it may start later.
    if int(environment.get("SLURM_STEP_NUM_TASKS", "1")) > 1:
        names = "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID"
        rank, size, local_rank = (_number(environment, variable) for variable in names)
        nodes = int(environment.get("SLURM_STEP_NUM_NODES", "1"))
        return RankInfo(rank, size, local_rank, size // nodes if size % nodes == 0 else None, "SLURM")
    return None


def check_agrees(info: RankInfo, devices: int | None, num_nodes: int | None) -> None:
    """Check options against what the launcher has decided.

    Raises:
        ValueError: when they contradict each other.

    >>> check_agrees(RankInfo(0, 4, 0, 2, "torchrun"), devices=2, num_nodes=2)
    >>> check_agrees(RankInfo(0, 4, 0, 2, "torchrun"), devices=4, num_nodes=None)
    Traceback (most recent call last):
    ValueError: devices: 4 contradicts the launcher (torchrun), which started 4 processes, 2 on each machine; leave \
devices and num_nodes to it
    """
    local = info.local_size if info.local_size is not None else devices
    found = {"devices": (devices, local), "num_nodes": (num_nodes, None if local is None else info.size / local)}
    for name, (wanted, there) in found.items():
        if wanted is not None and there is not None and wanted != there:
            on_each = f", {info.local_size} on each machine" if info.local_size is not None else ""
            raise ValueError(
                f"{name}: {wanted} contradicts the launcher ({info.launcher}), which started {info.size} processes"
                f"{on_each}; leave devices and num_nodes to it"
            )


def set_address() -> None:
    """Complete the environment by where the processes meet, and by the network interface that leads there."""
    if "MASTER_ADDR" not in os.environ:
        from lightning.fabric.plugins.environments.slurm import SLURMEnvironment

        nodes = os.environ.get("SLURM_STEP_NODELIST") or os.environ.get("SLURM_JOB_NODELIST", "127.0.0.1")
        os.environ["MASTER_ADDR"] = SLURMEnvironment.resolve_root_node_address(nodes)
    if "MASTER_PORT" not in os.environ:  # two steps of a job at a time have different ones
        job, step = (int(os.environ.get(name, "0")) for name in ("SLURM_JOB_ID", "SLURM_STEP_ID"))
        os.environ["MASTER_PORT"] = str(20_000 + (job * 7 + step) % 10_000)
    if "GLOO_SOCKET_IFNAME" not in os.environ:
        # Otherwise gloo takes that of the host's name, which often is a loopback address that no other machine reaches.
        with suppress(OSError):
            name = _interface_towards(os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]))
            if name is not None:
                os.environ["GLOO_SOCKET_IFNAME"] = name


def _interface_towards(host: str, port: int) -> str | None:
    """The network interface whose address this machine has in a connection to a host."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((host, port))  # sends nothing
        address = socket.inet_aton(probe.getsockname()[0])
        for _, name in socket.if_nameindex():
            with suppress(OSError):  # an interface without an address
                found = fcntl.ioctl(probe.fileno(), _INTERFACE_ADDRESS, struct.pack("256s", name.encode()[:15]))
                if found[20:24] == address:
                    return name
    return None


def _number(environment: Mapping[str, str], variable: str) -> int:
    try:
        return int(environment[variable])
    except KeyError:
        raise ValueError(f"{variable}: is not set, though other variables of the launcher are") from None
    except ValueError:
        raise ValueError(f"{variable}: expected a number, got {environment[variable]!r}") from None
