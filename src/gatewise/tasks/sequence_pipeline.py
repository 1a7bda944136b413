"""What turns the examples of a task into what a network reads and is trained on: a reader and a head."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any, Generic, Self, TypeVar

from gatewise.data.mapped import Mapped
from gatewise.data.vocabulary_file import read_parts
from gatewise.tasks.examples import Examples, ExampleSource, read_all, read_examples
from gatewise.tasks.heads.head import Encoded, Head
from gatewise.tasks.heads.tag_set import TagSet
from gatewise.tasks.rows import Reader, Row
from gatewise.tasks.run_folder import RunFolder

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
    def learn(cls, options: Any, examples: Sequence[Example]) -> Self:
        """The pipeline of the training data.

        Raises:
            ValueError: when it cannot be learned from.
        """

    @classmethod
    def load(cls, options: Any, folder: RunFolder) -> Self:
        """The pipeline of a run folder.

        Raises:
            ValueError: when its vocabulary is corrupt.
            OSError: when it cannot be read.
        """
        parts = read_parts(folder.vocabulary, TagSet)
        return cls(options, cls.make_reader(options, parts), cls.head_type(options).from_parts(options, parts))

    @classmethod
    @abstractmethod
    def make_reader(cls, options: Any, parts: dict[str, Any]) -> Reader:
        """The reader of the parts of a run folder."""

    @classmethod
    @abstractmethod
    def head_type(cls, options: Any) -> type[Head]:
        """The head that the options ask for."""

    @classmethod
    def targets(cls, options: Any, examples: Sequence[Example], part: str = "the data") -> Sequence[Any]:
        """The targets of a part of the data; by default the second of each example.

        Raises:
            ValueError: when one is malformed.
        """
        second: Any = itemgetter(1)
        return Mapped(examples, second)

    @classmethod
    @abstractmethod
    def data(cls, options: Any) -> ExampleSource[Example]:
        """How examples are read."""

    @classmethod
    def read_corpus(cls, options: Any, known: Mapping[str, str] | None = None) -> Examples[Example]:
        """The data of a run, see `read_examples`."""
        return read_examples(options, cls.data(options), known)

    def read_files(self, paths: Sequence[Path]) -> Sequence[Example]:
        """The examples of files.

        Raises:
            ValueError: for bad data.
            OSError: for a file that cannot be read.
        """
        return read_all(self.data(self.options), paths)[0]

    @property
    def unit(self) -> str:
        """What steps are called, in the plural."""
        return "steps"

    @property
    def parts(self) -> dict[str, Any]:
        """What is kept in the run folder."""
        return {**self.reader.parts, **self.head.parts}

    def make_model(self) -> Any:
        """The model, with its initial weights."""
        return self.head.make_model(self.reader, self.options)

    def set_vectors(self, model: Any) -> None:
        """Put pretrained vectors, where there are any, into a model that is to be trained."""

    def check(self, part: str, examples: Sequence[Example]) -> None:
        """Check that a part of the data can be scored, see `Head.check`."""
        self.head.check(part, self.targets(self.options, examples, part))

    @abstractmethod
    def encode(self, examples: Sequence[Example]) -> Encoded[Rows]:
        """Examples as the network reads them."""

    @abstractmethod
    def counts(self, data: Encoded[Rows]) -> dict[str, int]:
        """How many examples, and unknown tokens, there are, for the scores; with a notice of truncated ones."""

    @abstractmethod
    def facts(self, corpus: Examples[Example], training: Encoded[Rows]) -> list[str]:
        """Lines about the data and what was learned from it, for people."""
