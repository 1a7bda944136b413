"""The text of a language model: what it learns from and what it is scored on."""

import platform
from collections.abc import Iterator
from dataclasses import dataclass, field

from gatewise.data.manual import manual_text, without_repeated_passages
from gatewise.data.splitting import DefaultShare
from gatewise.data.text import sha256
from gatewise.data.texts import Text, open_text
from gatewise.tasks.language_model.options import LanguageModelOptions

SAMPLE = 1 << 27
"""Characters up to which words and byte pairs are learned from all of the text."""
_SHARE = DefaultShare(0.1, 10_000_000, "characters")


@dataclass(frozen=True)
class Corpus:
    """Texts by their part in a run.

    Attributes:
        source: where the text comes from, for people.
        training: what the model learns from.
        scored: what it is scored on, by name; the first decides which weights are kept and when to stop.
        hashes: the SHA-256 of what was read, by the option that named it.
        held_out: the share that was held out; None where files say what is scored.
    """

    source: str
    training: Text
    scored: dict[str, Text]
    hashes: dict[str, str]
    held_out: float | None = None


@dataclass(frozen=True)
class Sample:
    """What a vocabulary is learned from: a text, or every n-th part of it.

    Attributes:
        text: the text.
        every: how many parts of the text there are for each that is taken.
        taken: the number of characters taken, once it was read.
    """

    text: Text
    every: int
    taken: list[int] = field(default_factory=list)

    @classmethod
    def of(cls, text: Text, unit: str) -> "Sample":
        """The whole text for characters, which takes no memory; for words and byte pairs as much as `SAMPLE`."""
        return cls(text, 1 if unit == "char" else max(1, -(-text.characters // SAMPLE)))

    def chunks(self) -> Iterator[str]:
        """What is taken, part by part."""
        self.taken.clear()
        for number, chunk in enumerate(self.text.chunks()):
            if number % self.every == 0:
                self.taken.append(len(chunk))
                yield chunk
                if self.every > 1 and not chunk.endswith("\n"):
                    yield "\n"  # what follows does not continue it

    @property
    def fact(self) -> str:
        """What it was, for people; nothing where it was all of the text."""
        if self.every == 1:
            return ""
        return f", learned from a sample of {sum(self.taken):,} characters (every part of {self.every})"


def read_corpus(options: LanguageModelOptions) -> Corpus:
    """Read and split the text that the options name.

    Raises:
        ValueError: for a file that is empty or not UTF-8, or a pattern or folder without files.
        OSError: for a file that cannot be read.
    """
    hashes: dict[str, str] = {}
    if options.data:
        source = ", ".join(str(path) for path in options.data)
        text, hashes["data"] = open_text(options.data)
    else:
        source, manual = f"the manual of Python {platform.python_version()} (pydoc_data.topics)", manual_text()
        text, hashes["data"] = Text.of(manual), sha256(manual)
    scored: dict[str, Text] = {}
    share = None
    if options.valid:
        training = text
        scored["valid"], hashes["valid"] = open_text(options.valid)
    else:
        share = _SHARE.of(text.characters) if options.held_out is None else options.held_out
        training, held_out = text.split(share, at_line_end=options.unit != "char")
        if options.data:
            scored["held_out"] = held_out
        else:
            scored["held_out"] = Text.of(without_repeated_passages(held_out.read(), training.read()))
            scored["held_out_with_repeats"] = held_out
    if options.test:
        scored["test"], hashes["test"] = open_text(options.test)
    return Corpus(source, training, scored, hashes, share)
