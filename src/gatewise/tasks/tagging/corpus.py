"""The tagged sentences of a run."""

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gatewise.data.columns import Columns, TaggedWords
from gatewise.data.entities import OUTSIDE, is_entity_tag, meant_as_entities
from gatewise.data.standard_library import typed_programs
from gatewise.progress import say
from gatewise.tasks.examples import Builtin, Examples, ExampleSource, read_examples
from gatewise.tasks.tagging.options import TaggedTextOptions, TaggingOptions

_CHARACTERS, _PIECE = 350_000, 200


def read_corpus(options: TaggingOptions, known: Mapping[str, str] | None = None) -> Examples[TaggedWords]:
    """Read and split the sentences that the options name, or Python programs with the types of their tokens.

    Args:
        options: the options.
        known: the hashes of the run that the sentences are of, see `read_examples`; their tags have been checked.

    Raises:
        ValueError: for bad data; where nearly all tags are those of entities, for any other one, with its place.
        OSError: for a file that cannot be read.
    """
    corpus = read_examples(options, tagged_data(options), known)
    if known is None and options.scheme != "none":
        counts = Counter(tag for _, tags in corpus.training for tag in tags)
        if meant_as_entities(counts):
            paths = [*options.data, *options.valid, *options.test]
            check_entity_tags(columns_of(options), paths, itertools.chain(corpus.training, *corpus.scored.values()))
    return corpus


def tagged_data(options: TaggedTextOptions) -> ExampleSource[TaggedWords]:
    """How tagged sentences are read: from the columns that the options name, or Python programs."""
    columns, name = columns_of(options), "types of entities, or tags"
    programs = Builtin(
        "programs of the standard library of Python {python}, token types by character",
        lambda: typed_programs(_CHARACTERS, _PIECE),
    )
    return ExampleSource(
        lambda paths: columns.tagged_words(paths, say), _restored, _classes, name, builtin={"programs": programs}
    )


def _restored(value: tuple[list[Any], list[str]]) -> TaggedWords:
    words, tags = value
    return words if words and isinstance(words[0], str) else [tuple(word) for word in words], tags


def columns_of(options: TaggedTextOptions) -> Columns:
    """The columns that the options name."""
    return Columns(options.word_column, options.tag_column, options.comments, options.feature_columns)


def check_entity_tags(columns: Columns, paths: Sequence[Path], sentences: Iterable[TaggedWords]) -> None:
    """Raise a ValueError for a tag that is not one of entities, with its place.

    Args:
        columns: the columns.
        paths: the files that the sentences come from.
        sentences: what was read.
    """
    if not all(is_entity_tag(tag) for _, tags in sentences for tag in tags):
        where, tag = next(found for found in columns.locations_of_tags(paths) if not is_entity_tag(found[1]))
        raise ValueError(
            f"{where}: tag {tag!r}: expected O, or the tag of an entity (B-LOC, I-LOC …) as nearly all others; correct "
            "it, or give --scheme none to take tags as they are, without scores of entities"
        )


def _classes(sentence: TaggedWords) -> set[str]:
    """The tags of a sentence; of those of entities the types alone, since a type is learned with all of its tags."""
    return {tag[2:] if is_entity_tag(tag) and tag != OUTSIDE else tag for tag in sentence[1]}
