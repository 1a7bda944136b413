"""The folder that a run leaves: what is in it, how it is made and how it is opened."""

import json
import os
import platform
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

import gatewise
from gatewise.tasks.class_scores import is_number, is_score_table
from gatewise.writing import atomic_write, check_folder, errors_of

FORMAT, VERSION = "gatewise-run", 1


@dataclass(frozen=True)
class RunFolder:
    """The names in a run folder.

    Attributes:
        path: the folder.
    """

    path: Path

    @property
    def config(self) -> Path:
        """The resolved options, as a file for ``--config``."""
        return self.path / "config.toml"

    @property
    def description(self) -> Path:
        """What made the run: format, task, versions, cell, data."""
        return self.path / "run.json"

    @property
    def vocabulary(self) -> Path:
        """The tokens."""
        return self.path / "vocabulary.json"

    @property
    def metrics(self) -> Path:
        """A row per step, and per score on the held-out data."""
        return self.path / "metrics.csv"

    @property
    def tensorboard(self) -> Path:
        """The same for TensorBoard, in a folder, where that was asked for."""
        return self.path / "tensorboard"

    @property
    def weights(self) -> Path:
        """The weights with the best held-out score."""
        return self.path / "weights.safetensors"

    @property
    def state(self) -> Path:
        """All that is needed to resume training."""
        return self.path / "state.ckpt"

    @property
    def scores(self) -> Path:
        """The scores of the best weights, once training has ended."""
        return self.path / "scores.json"

    @property
    def plot(self) -> Path:
        """The learning curve."""
        return self.path / "plot.png"

    @property
    def card(self) -> Path:
        """The model card, once training has ended."""
        return self.path / "README.md"

    @property
    def report(self) -> Path:
        """What ``gatewise inspect`` saw."""
        return self.path / "report.html"

    def read_description(self) -> dict[str, Any]:
        """The content of `description`.

        Raises:
            ValueError: when this is not a run folder of this version.
        """
        if not self.path.exists():
            raise ValueError(f"{self.path}: no such run folder")
        try:
            description: Any = json.loads(self.description.read_bytes())
            found = description["format"], description["version"]
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            raise ValueError(f"{self.path}: not a run folder of gatewise (no readable run.json in it)") from None
        if found != (FORMAT, VERSION):
            raise ValueError(
                f"{self.description}: expected {FORMAT} version {VERSION}, got {found[0]} version {found[1]}; "
                "use the version of gatewise that wrote it"
            )
        task, hashes = description.get("task"), description.get("sha256")
        if not isinstance(task, str):
            raise ValueError(f"{self.description}: expected the name of a task in 'task', got {task!r:.60}")
        if not isinstance(hashes, dict) or not all(isinstance(value, str) for value in hashes.values()):
            raise ValueError(f"{self.description}: expected a hash by name in 'sha256', got {hashes!r:.60}")
        return description

    def hashes(self) -> dict[str, str]:
        """The SHA-256 of what the run has read, by the option that named it.

        Raises:
            ValueError: as `read_description`.
        """
        return self.read_description()["sha256"]

    def read_scores(self) -> dict[str, Any]:
        """The content of `scores`: ``scores`` by the part of the data and their name, and ``ended_by``.

        A score is a number; those of classes, or of steps to come, are numbers by their name and that of the measure.

        Raises:
            ValueError: when it is corrupt.
            OSError: when training has not ended yet.
        """
        content = self.scores.read_bytes()
        try:
            found: Any = json.loads(content)
            ended_by, scores = found["ended_by"], found["scores"]
            if isinstance(ended_by, str) and all(
                is_number(value) or is_score_table(value) for part in scores.values() for value in part.values()
            ):
                return found
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            pass
        raise ValueError(f"{self.scores}: not the scores of a run, or corrupt")


def create(
    out: Path,
    task: str,
    config: str,
    vocabulary: str,
    details: Mapping[str, object],
    kept: Mapping[str, bytes | Path] | None = None,
) -> RunFolder:
    """Make a run folder with its description, options, vocabulary and other files to keep: all of them, or nothing.

    Raises:
        ValueError: when `out` exists and is not an empty folder.
        OSError: when it cannot be written.
    """
    check_unused(out)
    description = {
        "format": FORMAT,
        "version": VERSION,
        "task": task,
        "vocabulary_sha256": sha256(vocabulary.encode("utf-8")).hexdigest(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "gatewise": gatewise.__version__,
        "torch": version("torch"),
        "python": platform.python_version(),
        **details,
    }
    unfinished = RunFolder(out.with_name(f".{out.name}.{os.getpid()}.partial"))
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with errors_of(out, instead_of=unfinished.path):
            unfinished.path.mkdir()
            for path, content in (
                *((unfinished.path / name, content) for name, content in (kept or {}).items()),
                (unfinished.config, config.encode("utf-8")),
                (unfinished.vocabulary, vocabulary.encode("utf-8")),
                (
                    unfinished.description,
                    (json.dumps(description, indent=1, ensure_ascii=False) + "\n").encode("utf-8"),
                ),
            ):
                with atomic_write(path) as file:
                    if isinstance(content, bytes):
                        file.write(content)
                    else:
                        with content.open("rb") as original:
                            shutil.copyfileobj(original, file)
            check_unused(out)  # another process may have made it meanwhile
            unfinished.path.replace(out)
    finally:
        shutil.rmtree(unfinished.path, ignore_errors=True)  # it is there only where something was raised
    return RunFolder(out)


@contextmanager
def new_run(out: Path, *content: Any) -> Iterator[RunFolder]:
    """Make a run folder for the block, which trains there.

    Where the block raises before there is a state to resume or weights to load, the folder is removed, with those above
    it that were made for it.

    Args:
        out: the folder.
        *content: see `create`.

    Raises:
        ValueError, OSError: as `create`.
    """
    missing = [folder for folder in out.parents if not folder.exists()]
    try:
        folder = create(out, *content)
        try:
            yield folder
        except BaseException:
            if not folder.state.exists() and not folder.weights.exists():
                shutil.rmtree(out, ignore_errors=True)
            raise
    except BaseException:
        for above in missing:
            with suppress(OSError):  # the run is kept, or another one is in it by now
                above.rmdir()
        raise


def check_unused(out: Path) -> None:
    """Check that a run folder can be made.

    Raises:
        ValueError: when `out` exists and is not an empty folder.
        OSError: when it cannot be made where it is to be.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"{out}: exists already; choose another --out, or resume it with --resume {out}")
    check_folder(out)


def unused(prefix: str) -> Path:
    """The first of ``runs/prefix-1``, ``runs/prefix-2``, … that does not exist."""
    number = 1
    while (path := Path("runs") / f"{prefix}-{number}").exists():
        number += 1
    return path
