"""Single measurements: what identifies one, and how it is made."""

import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import gatewise
from gatewise.studies.study import Outcome, Settings


@dataclass(frozen=True)
class Job:
    """A condition to be measured with a seed.

    Attributes:
        study: the name of the study.
        condition: the name of the condition, or of what is tuned.
        seed: the seed.
        settings: what `Study.measure` is called with.
    """

    study: str
    condition: str
    seed: int
    settings: Settings

    @property
    def key(self) -> str:
        """A digest of all that the outcome depends on: these attributes, the code of gatewise, and torch's version."""
        import torch

        whole = json.dumps([asdict(self), _code(), torch.__version__], sort_keys=True)
        return hashlib.sha256(whole.encode()).hexdigest()


class Measured(NamedTuple):
    """The outcome of a job.

    Attributes:
        key: the key of the job.
        outcome: what was measured.
        seconds: how long it took.
    """

    key: str
    outcome: Outcome
    seconds: float


def measure(job: Job, key: str) -> Measured:
    """Measure a condition, in this process.

    Args:
        job: the job.
        key: its key, of the code that started the run.

    Raises:
        ValueError: if the outcome cannot be written as JSON, for example because it holds an infinity.
    """
    import torch

    from gatewise.studies.registry import studies

    began_at = time.perf_counter()
    with _one_thread():
        torch.manual_seed(job.seed)
        outcome = studies()[job.study].measure(job.settings, job.seed)
    try:
        outcome = json.loads(json.dumps(outcome, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{job.study}, {job.condition}, seed {job.seed}: {error}: {outcome}") from error
    return Measured(key, outcome, round(time.perf_counter() - began_at, 2))


@contextmanager
def _one_thread() -> Iterator[None]:
    """One thread, its own random state, and denormal numbers as zero: gradients that vanish would make torch slow."""
    import torch

    threads, flushed = torch.get_num_threads(), _flushes_denormal()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        torch.set_flush_denormal(flushed)
        torch.set_num_threads(threads)


def _flushes_denormal() -> bool:
    import torch

    return not torch.tensor(1e-310, dtype=torch.float64).mul(1.0).item()


@cache
def _code() -> str:
    """A digest of the package: sources, learning rates and compiled engine."""
    root = Path(gatewise.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*")):
        if path.suffix in (".py", ".json", ".so"):
            digest.update(f"{path.relative_to(root)}\n".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


class JobLog:
    """The outcomes of a run as they arrive, a line of JSON each, so that a run can be resumed or repeated in parts.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> dict[str, Measured]:
        """The outcomes by key; a last line that was cut off is ignored."""
        found: dict[str, Measured] = {}
        for line in self.path.read_text(encoding="utf-8").splitlines() if self.path.exists() else ():
            try:
                entry: dict[str, Any] = json.loads(line)
            except ValueError:
                continue
            found[entry["key"]] = Measured(**entry)
        return found

    def append(self, measured: Measured) -> None:
        """Add an outcome."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(measured._asdict()) + "\n")
