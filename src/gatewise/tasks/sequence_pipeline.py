"""What turns the examples of a task into what a network reads and is trained on: a reader and a head."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, Self, TypeVar

from gatewise.tasks.examples import Examples, ExampleSource, read_all, read_examples
from gatewise.tasks.head import Encoded, Head
from gatewise.tasks.rows import Reader, Row

Example = TypeVar("Example")
Rows = TypeVar("Rows", bound=Sequence[Row])


class SequencePipeline(ABC, Generic[Example, Rows]):
    """The reader and the head of one run.

    Attributes:
        options: the options of the run.
        reader: converts the inputs of examples.
        head: what is predicted.
    """

    options: Any
    reader: Any
    head: Any

    def __init__(self, options: Any, reader: Reader, head: Head) -> None:
        self.options = options
        self.reader = reader
        self.head = head

    @classmethod
    @abstractmethod
    def from_parts(cls, options: Any, parts: dict[str, Any]) -> Self:
        """That of a run folder."""

    @property
    def parts(self) -> dict[str, Any]:
        """What is kept in the run folder."""
        return {**self.reader.parts, **self.head.parts}

    def make_model(self) -> Any:
        """The model, with its initial weights."""
        return self.head.make_model(self.reader, self.options)

    @abstractmethod
    def data(self) -> ExampleSource[Example]:
        """How examples are read."""

    def read_corpus(self, known: Mapping[str, str] | None) -> Examples[Example]:
        """The data of the run, see `read_examples`."""
        return read_examples(self.options, self.data(), known)

    def read_files(self, paths: Sequence[Path]) -> Sequence[Example]:
        """The examples of files.

        Raises:
            ValueError: for bad data.
            OSError: for a file that cannot be read.
        """
        return read_all(self.data(), paths)[0]

    @abstractmethod
    def check(self, part: str, examples: Sequence[Example]) -> None:
        """Check that a part of the data can be scored, see `Head.check`."""

    @abstractmethod
    def encode(self, examples: Sequence[Example]) -> Encoded[Rows]:
        """Examples as the network reads them."""

    @abstractmethod
    def counts(self, data: Encoded[Rows]) -> dict[str, int]:
        """How many examples, and unknown tokens, there are, for the scores; with a notice of truncated ones."""
