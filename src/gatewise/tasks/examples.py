"""The examples of a run by their part in it: the training data and what is scored."""

import json
import platform
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from gatewise.data.example_store import StoredExamples, gather
from gatewise.data.row_store import Field, RowWriter, open_rows
from gatewise.data.splitting import DefaultShare, drawn_at_random, split_at_random
from gatewise.formatting import format_bytes
from gatewise.progress import tracked
from gatewise.tasks import data_cache
from gatewise.tasks.builtin_data import builtin_name

Example = TypeVar("Example")


class DataOptions(Protocol):
    """What `read_examples` needs to know."""

    @property
    def data(self) -> tuple[Path, ...]: ...
    @property
    def valid(self) -> tuple[Path, ...]: ...
    @property
    def test(self) -> tuple[Path, ...]: ...
    @property
    def held_out(self) -> float | None: ...
    @property
    def seed(self) -> int: ...


@dataclass(frozen=True)
class Examples(Generic[Example]):
    """Examples by their part in a run.

    Attributes:
        source: where they come from, for people.
        training: the training data.
        scored: what it is scored on, by name; the first decides which weights are kept and when to stop.
        hashes: the SHA-256 of what was read, by the option that named it.
        held_out: the share that was held out; None where files say what is scored.
    """

    source: str
    training: Sequence[Example]
    scored: dict[str, Sequence[Example]]
    hashes: dict[str, str]
    held_out: float | None = None

    @property
    def deciding(self) -> Sequence[Example]:
        """The examples that decide."""
        return next(iter(self.scored.values()))

    @property
    def summary(self) -> str:
        """How many there are, and whether they are in memory, for people."""
        stored = [part for part in self.parts.values() if isinstance(part, StoredExamples)]
        counts = f"examples: {self.counts(len)}"
        if not stored:
            return counts
        size = sum({part.whole: part.size for part in stored}.values())
        return f"{counts}; {format_bytes(size)} of them are mapped from {data_cache.folder_of(_STORED)}"

    @property
    def parts(self) -> dict[str, Sequence[Example]]:
        """The training data and what is scored, by name."""
        return {"training": self.training, **self.scored}

    def counts(self, count: Callable[[Sequence[Example]], int]) -> str:
        """How many of something each part has, for people."""
        return ", ".join(f"{name.replace('_', ' ')} {count(part):,}" for name, part in self.parts.items())


_STORED = "examples"

_SHARE = DefaultShare(0.1, 100_000, "rows")


class Builtin(NamedTuple, Generic[Example]):
    """Data that needs no file.

    Attributes:
        source: where the examples come from, for people; with ``{python}`` for the version of Python.
        make: makes the examples.
    """

    source: str
    make: Callable[[], list[Example]]


@dataclass(frozen=True)
class ExampleSource(Generic[Example]):
    """How the examples of a task are read.

    Attributes:
        read: reads files, one example after another.
        restore: makes an example of its JSON value; None for examples that are always kept in memory.
        classes_of: the classes of an example, see `split_at_random`.
        class_name: a text that is the same only for the same `classes_of`.
        hash_of: the SHA-256 of examples that are kept in memory; by default of their JSON.
        builtin: data that needs no file, by name. ``builtin:NAME`` instead of a file asks for it; the first is taken
            where no file is named.
        default_share: what is held out where the options do not say.
    """

    read: Callable[[Sequence[Path]], Iterable[Example]]
    restore: Callable[[Any], Example] | None = None
    classes_of: Callable[[Example], Collection[str]] | None = None
    class_name: str = ""
    hash_of: Callable[[Sequence[Example]], str] | None = None
    builtin: Mapping[str, Builtin[Example]] = field(default_factory=dict)
    default_share: DefaultShare = _SHARE


def read_examples(
    options: DataOptions, data: ExampleSource[Example], known: Mapping[str, str] | None = None
) -> Examples[Example]:
    """Read the examples that the options name, and hold some out at random where no file says which.

    Args:
        options: the files.
        data: how they are read.
        known: the `hashes` of the run that the examples are of, if any: examples of the cache are not read again.

    Raises:
        ValueError: for bad data.
        OSError: for a file that cannot be read.
    """
    known = known or {}
    hashes: dict[str, str] = {}
    name = builtin_name(options.data, data.builtin)
    if name is not None:
        source = data.builtin[name].source.format(python=platform.python_version())
        examples = data.builtin[name].make()
        _, hashes["data"] = gather(examples)
    else:
        source = ", ".join(str(path) for path in options.data)
        examples, hashes["data"] = read_all(data, options.data, known.get("data"))
    scored: dict[str, Sequence[Example]] = {}
    share = None
    if options.valid:
        training = examples
        scored["valid"], hashes["valid"] = read_all(data, options.valid, known.get("valid"))
    else:
        share = data.default_share.of(len(examples)) if options.held_out is None else options.held_out
        training, scored["held_out"] = _split(examples, share, options.seed, data)
    if options.test:
        scored["test"], hashes["test"] = read_all(data, options.test, known.get("test"))
    return Examples(source, training, scored, hashes, share)


def read_all(
    data: ExampleSource[Example], paths: Sequence[Path], known: str | None = None
) -> tuple[Sequence[Example], str]:
    """The examples of files, in memory or, if they are many, in the cache; and the SHA-256 of all of them.

    Args:
        data: how they are read.
        paths: the files.
        known: the SHA-256, where the examples may be those of the cache.

    Raises:
        ValueError: for bad data.
        OSError: for a file that cannot be read, or a cache that cannot be written.
    """
    restore = data.restore
    if restore is None:
        examples = list(data.read(paths))
        return examples, gather(examples)[1] if data.hash_of is None else data.hash_of(examples)
    found = None if known is None else data_cache.find(_STORED, known, open_rows)
    if known is not None and found is not None:
        return StoredExamples(found[0], known, restore), known
    with data_cache.folder_on_demand(_STORED) as folder:
        examples, digest = gather(data.read(paths), folder)
        if isinstance(examples, list):
            return examples, digest
        rows, _ = data_cache.publish(_STORED, digest, folder(), open_rows)
        return StoredExamples(rows, digest, restore), digest


def _split(
    examples: Sequence[Example], share: float, seed: int, data: ExampleSource[Example]
) -> tuple[Sequence[Example], Sequence[Example]]:
    """The training data, and what is held out."""
    draw = share, seed, data.classes_of
    if not isinstance(examples, StoredExamples):
        return split_at_random(examples, *draw)

    def make(folder: Path) -> None:
        chosen = drawn_at_random(tracked(examples, "splitting", "examples"), len(examples), *draw)
        with RowWriter({"held_out": Field("bool", ragged=False)}, folder) as writer:
            for is_held_out in chosen:
                writer.append(held_out=is_held_out)
            writer.finish()

    name = json.dumps(["split", share, seed, data.class_name])
    key = sha256(f"{examples.identity} {name}".encode()).hexdigest()
    rows, _ = data_cache.find_or_make("splits", key, open_rows, make, "splits the same data")
    chosen = rows.column("held_out")
    return examples.part(~chosen, f"{name} training"), examples.part(chosen, f"{name} held out")
