"""The examples of a run by their part in it: what is learned from, what is scored."""

import hashlib
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from gatewise.data.splitting import split_at_random
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
    def held_out(self) -> float: ...
    @property
    def seed(self) -> int: ...


@dataclass(frozen=True)
class Examples(Generic[Example]):
    """Examples by their part in a run.

    Attributes:
        source: where they come from, for people.
        training: what the model learns from.
        scored: what it is scored on, by name; the first decides which weights are kept and when to stop.
        hashes: the SHA-256 of what was read, by the option that named it.
    """

    source: str
    training: list[Example]
    scored: dict[str, list[Example]]
    hashes: dict[str, str]

    @property
    def deciding(self) -> list[Example]:
        """The examples that decide."""
        return next(iter(self.scored.values()))

    @property
    def summary(self) -> str:
        """How many there are, for people."""
        parts = {"training": self.training, **self.scored}
        return "examples: " + ", ".join(f"{name.replace('_', ' ')} {len(part):,}" for name, part in parts.items())


Builtin = Callable[[], tuple[str, list[Example]]]


def read_examples(
    options: DataOptions,
    read: Callable[[Sequence[Path]], list[Example]],
    builtin: Mapping[str, Builtin[Example]],
    classes_of: Callable[[Example], Collection[str]] | None = None,
    hash_of: Callable[[Sequence[Example]], str] | None = None,
) -> Examples[Example]:
    """Read the examples that the options name, and hold some out at random where no file says which.

    Args:
        options: the files.
        read: reads files.
        builtin: by name, what needs no file: where the examples come from, and they. ``builtin:NAME`` instead of a
            file asks for it; the first is taken where no file is named.
        classes_of: the classes of an example, see `split_at_random`.
        hash_of: the SHA-256 of examples; by default of their JSON.

    Raises:
        ValueError: for bad data.
        OSError: for a file that cannot be read.
    """
    name = builtin_name(options.data, builtin)
    if name is not None:
        source, examples = builtin[name]()
    else:
        source, examples = ", ".join(str(path) for path in options.data), read(options.data)
    parts = {"data": examples}
    scored: dict[str, list[Example]] = {}
    if options.valid:
        training = examples
        parts["valid"] = scored["valid"] = read(options.valid)
    else:
        training, scored["held_out"] = split_at_random(examples, options.held_out, options.seed, classes_of)
    if options.test:
        parts["test"] = scored["test"] = read(options.test)
    return Examples(source, training, scored, {name: (hash_of or _hash)(part) for name, part in parts.items()})


def _hash(examples: Sequence[Example]) -> str:
    content = json.dumps(examples, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()
