"""The text of a language model: what it learns from and what it is scored on."""

import platform
from dataclasses import dataclass

from gatewise.data.manual import manual_text, without_repeated_passages
from gatewise.data.text import read_text, sha256, split_by_position
from gatewise.tasks.language_model.options import LanguageModelOptions


@dataclass(frozen=True)
class Corpus:
    """Texts by their part in a run.

    Attributes:
        source: where the text comes from, for people.
        training: what the model learns from.
        scored: what it is scored on, by name; the first decides which weights are kept and when to stop.
        hashes: the SHA-256 of what was read, by the option that named it.
    """

    source: str
    training: str
    scored: dict[str, str]
    hashes: dict[str, str]


def read_corpus(options: LanguageModelOptions) -> Corpus:
    """Read and split the text that the options name.

    Raises:
        ValueError: for a file that is empty or not UTF-8.
        OSError: for a file that cannot be read.
    """
    if options.data:
        source, text = ", ".join(str(path) for path in options.data), read_text(options.data)
    else:
        source, text = f"the manual of Python {platform.python_version()} (pydoc_data.topics)", manual_text()
    texts = {"data": text}
    scored: dict[str, str] = {}
    if options.valid:
        training = text
        texts["valid"] = scored["valid"] = read_text(options.valid)
    else:
        training, held_out = split_by_position(text, options.held_out, at_line_end=options.unit != "char")
        if options.data:
            scored["held_out"] = held_out
        else:
            scored["held_out"] = without_repeated_passages(held_out, training)
            scored["held_out_with_repeats"] = held_out
    if options.test:
        texts["test"] = scored["test"] = read_text(options.test)
    return Corpus(source, training, scored, {name: sha256(text) for name, text in texts.items()})
