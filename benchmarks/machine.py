"""What a measurement depends on: the processor, the versions, and the load of the machine."""

import os
import platform
import time
from collections.abc import Sequence
from pathlib import Path

import torch

import gatewise
from gatewise.kernels.cpu import library

# Processors in use by others above which times say little.
BUSY = 0.5


def describe() -> dict[str, str | int]:
    """Versions, threads, processor and instruction sets."""
    missing = library.why_missing()
    return {
        "gatewise": gatewise.__version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "processor": processor(),
        "processors": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        "threads": torch.get_num_threads(),
        "instruction_set": missing or library.engine().instruction_set,
        "torch_instruction_set": torch.backends.cpu.get_cpu_capability(),
    }


def processor() -> str:
    """The processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def load_average() -> float:
    """Processes that ran or waited to run, over the last minute."""
    return os.getloadavg()[0]


def load_warning(load: float) -> str | None:
    """What to say of the load average at the start, or None."""
    if load <= BUSY:
        return None
    return (
        f"the load average was {load:.1f} at the start (idle is below {BUSY}): "
        "if others are at work, these times are worthless"
    )


def available_memory() -> int:
    """Bytes that can be taken without swapping."""
    try:
        fields = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
        return int(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


class OtherProcesses:
    """Processor time that others take while we measure; nothing where the system does not tell.

    Args:
        workers: ids of processes that are ours too.
    """

    def __init__(self, workers: Sequence[int]) -> None:
        self._workers = workers
        self._started = time.monotonic()
        self._busy, self._own = _busy_seconds(), self._own_seconds()

    def processors(self) -> float | None:
        """How many processors the others have kept busy since the beginning, on average."""
        busy = _busy_seconds()
        if busy is None or self._busy is None:
            return None
        others = busy - self._busy - (self._own_seconds() - self._own)
        return max(0.0, others / max(time.monotonic() - self._started, 1e-9))

    def _own_seconds(self) -> float:
        own = os.times()
        return own.user + own.system + sum(map(_process_seconds, self._workers))


def _busy_seconds() -> float | None:
    """Of all processors since the system started; what a hypervisor gave to others included."""
    try:
        words = Path("/proc/stat").read_text().split("\n", 1)[0].split()
    except OSError:
        return None
    user, nice, system, _, _, interrupts, soft_interrupts, stolen, *_ = map(int, words[1:])
    return (user + nice + system + interrupts + soft_interrupts + stolen) / os.sysconf("SC_CLK_TCK")


def _process_seconds(pid: int) -> float:
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(after_name[11]) + int(after_name[12])) / os.sysconf("SC_CLK_TCK")
