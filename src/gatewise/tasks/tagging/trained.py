"""A trained tagger, read from its run folder: tag texts, score tagged texts."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import torch

from gatewise.data.columns import TaggedWords, Words, has_columns
from gatewise.data.entities import Entity, entities
from gatewise.data.in_memory import as_files, is_in_memory
from gatewise.data.labels import Labels, MostFrequent
from gatewise.data.mapped import Mapped
from gatewise.data.row_store import Field
from gatewise.data.row_tensors import RowTensors
from gatewise.data.text import check_characters
from gatewise.data.vocabulary_file import read_parts
from gatewise.models.tagger import Tagger
from gatewise.progress import Progress, say
from gatewise.tasks.answer_formats import ROW_FORMATS, Endings, written
from gatewise.tasks.attribution import Inspection, inspect_answers
from gatewise.tasks.batch_statistics import BatchStatistics
from gatewise.tasks.checkpoint_io import same_data
from gatewise.tasks.inspection import one_text, requested_report
from gatewise.tasks.prediction_io import in_groups, read_lines, read_standard_input
from gatewise.tasks.tagging.corpus import columns_of, read_corpus, read_sentences
from gatewise.tasks.tagging.network import decoded, loss_of, make_batches, make_model, question_of, tag_probabilities
from gatewise.tasks.tagging.options import TaggingOptions
from gatewise.tasks.tagging.scores import TagScores
from gatewise.tasks.tagging.tag_set import TagSet
from gatewise.tasks.tagging.word_features import FeatureReader, Word, reader_of_parts, word_of, words_of
from gatewise.tasks.token_reader import NUMBERS, TokenReader, Tokens
from gatewise.tasks.token_rows import TokenRows, encode_examples
from gatewise.tasks.trained import Scores, Trained
from gatewise.tasks.unknown_characters import UnknownCharacters
from gatewise.tasks.unknown_labels import check_labels

InputForm = Literal["columns", "text"]

_BATCH = 64
PART = 1024
"""Sentences that are scored at a time."""
_MANY = 0.1
"""Share of sentences above which it is reported that their tags are invalid."""


class Tagged(NamedTuple):
    """What a model makes of a sentence.

    Attributes:
        tokens: the words, or characters.
        tags: the tag of each.
        entities: what the tags mark, where they are of entities.
    """

    tokens: list[str]
    tags: list[str]
    entities: list[Entity]


_TaggedSentence = tuple[Tagged, list[dict[str, float]] | None]
"""With the probabilities of the tags of each token, where they are wanted."""


class TrainedTagger(Trained):
    """The tagger of a run folder.

    Attributes:
        reader: the tokens.
        tags: the tags.
    """

    name = "tag"
    reads_columns: ClassVar[bool] = True
    formats: ClassVar[Endings] = {**ROW_FORMATS, "columns": (".conll", ".iob", ".bio", ".bioes", ".tsv", ".col")}
    options: TaggingOptions
    model: Tagger

    def _read_vocabulary(self) -> None:
        parts = read_parts(self.folder.vocabulary, TagSet)
        self.reader = reader_of_parts(self.options, parts)
        self.tags: TagSet = parts["tags"]
        # Runs of earlier versions have the baseline in the tags that the network knows.
        self._written: Labels = parts.get("written", self.tags.labels)
        self._baseline: MostFrequent = parts["baseline"]

    def _make_model(self) -> Tagger:
        return make_model(self.options, self.reader, self.tags)

    def evaluate(self, data: Any = None) -> Scores:
        """Score tagged sentences.

        Args:
            data: files with columns, tables, or a table in memory; by default the held-out sentences of the run, and
                the others to be scored.

        Returns:
            for each part ``sentences``, ``tokens``, ``unknown_tokens``, ``unknown_tags`` (those that the training data
            does not have, which count as errors), ``loss`` in nats per token with a known tag (with a CRF: of sentences
            of known tags), ``accuracy`` of tokens, in the tags as the data has them; where tags are of entities
            ``entity_precision``, ``entity_recall``, ``entity_f1`` as conlleval has them, and ``invalid_sentences``,
            those with a tag where it may not stand; and the accuracy (and F1) of the baseline, each token's most
            frequent tag in the training data. ``per_tag`` and, where tags are of entities, ``per_entity`` have for each
            tag as the data has it, and each type of entity, ``precision``, ``recall``, ``f1`` and ``support``.

        Raises:
            ValueError: when the data is malformed, has no known tag, or has changed since the run.
            OSError: when a file cannot be read.
        """
        if data is not None:
            with as_files(data) as paths:
                parts = {"data": read_sentences(self.options, paths, of_entities=self.tags.learned is not None)}
        else:
            parts = same_data(self.folder, read_corpus(self.options, self.folder.read_description()["sha256"])).scored
        check_parts(self.tags, parts)
        return self._scores(parts)

    def _scores(self, parts: Mapping[str, Sequence[TaggedWords]]) -> Scores:
        return {name: self._score(examples) for name, examples in parts.items()}

    def finish(self, scored: Mapping[str, Sequence[TaggedWords]]) -> Scores:
        """The scores; with a warning where many sentences have tags that may not stand where they do."""
        found = self._scores(scored)
        for name, scores in found.items():
            invalid = scores.get("invalid_sentences", 0)
            if invalid > _MANY * scores["sentences"]:
                say(
                    f"warning: {name.replace('_', ' ')}: {invalid:,} of {scores['sentences']:,} sentences have a tag "
                    "where it may not stand; the output crf never writes one"
                )
        return found

    @property
    def has_probabilities(self) -> bool:
        return True

    def predict(self, sentences: Any) -> list[Tagged]:
        """Tag sentences: raw texts, lists of their words, or a table in memory with a column of such lists.

        A model with feature columns needs lists of words, each a sequence of the word and its features.

        >>> import gatewise
        >>> model = gatewise.load("runs/tag", "tag")  # doctest: +SKIP
        >>> model.predict(["x = 1"])[0].tags  # doctest: +SKIP
        ['name', 'space', 'operator', 'space', 'number']
        """
        unknown = UnknownCharacters(self.reader.vocabulary)
        found = self._predict(sentences, unknown)
        unknown.report()
        return found

    def _predict(self, sentences: Any, unknown: UnknownCharacters) -> list[Tagged]:
        words = self._words(sentences)
        rows = [self.reader.read(row) for row in words]
        for row in rows:
            unknown.add(row.numbers, row.written)
        found: list[Tagged] = []
        for row, numbers in zip(words, decoded(self.model, self.reader, rows, _BATCH), strict=True):
            tags = self.tags.names(numbers.tolist())
            of_entities = entities(tags) if self.tags.learned is not None else []
            found.append(Tagged([word_of(word) for word in row], self.tags.written(tags), of_entities))
        return found

    def probabilities(self, sentences: Any) -> list[list[dict[str, float]]]:
        """The probability of each tag at each token of sentences, whatever the other tags are.

        Tags are those that the data has, or those that the network learned where one of these may be written in two
        ways: ``B-`` as ``B-`` or ``S-``.

        Args:
            sentences: see `predict`.
        """
        names = self.tags.written_names
        rows = [self.reader.read(row) for row in self._words(sentences)]
        found: list[list[dict[str, float]]] = []
        for of_sentence in tag_probabilities(self.model, self.reader, rows, _BATCH):
            found.append([dict.fromkeys(names, 0.0) for _ in of_sentence])
            for values, row in zip(found[-1], of_sentence.tolist(), strict=True):
                for name, value in zip(names, row, strict=True):
                    values[name] += value
        return found

    def answers(
        self,
        paths: Sequence[Path] = (),
        format: str | None = None,
        *,
        input: InputForm | None = None,
        probabilities: bool = False,
    ) -> Iterator[str] | Iterator[bytes]:
        """The tags of the sentences in files, as the content of a file; an empty line is a sentence without words.

        Args:
            paths: files; without any the standard input is read.
            format: "columns" (the default: word, tab, tag, and a blank line after a sentence), "jsonl" or "parquet" (a
                sentence per line or row) or "csv" (a word per line, with the number of its sentence).
            probabilities: whether to write the probability of every tag, which columns cannot hold.
            input: "columns" for files with a word per line, "text" for a sentence per line. By default columns are
                files that are named so (.conll, .conllu, .iob, .bio, .bioes, .tsv, .col), and those most of whose lines
                have one of the model's tags where the training data had it; the standard input is text.

        Raises:
            ValueError: for malformed data.
            OSError: when a file cannot be read.
        """
        sentences = self._sentences(paths, input)
        if format in (None, "columns"):
            if probabilities:
                raise ValueError(
                    "probabilities: columns have a word and its tag alone; give --format jsonl, csv or parquet"
                )
            return (_columns(tagged) for tagged, _ in self._tagged(sentences, False))
        found = self._tagged(sentences, probabilities)
        return written(_cells(found) if format == "csv" else self._rows(found), format)

    def text_of(self, paths: Sequence[Path]) -> Any:
        """What `inspect` reads of files: the first sentence where the first has a word per line, otherwise all text."""
        if self._has_columns(paths[0]):
            return next(columns_of(self.options).read_words(paths[0], say))
        return super().text_of(paths)

    def inspect(self, text: str | Sequence[Word], *, steps: int = 2000, out: str | Path | None = None) -> Inspection:
        """Watch the network tag a text, find which words moved each tag, and write a report.

        Args:
            text: the text, as one sentence, or the words of a sentence.
            steps: the largest number of tokens to read, from the beginning.
            out: the page of HTML to write, by default ``report.html`` in the run folder.

        Raises:
            ValueError: when ``steps`` is below 1, the text has no tokens, or the folder of ``out`` is missing.
            OSError: when the report cannot be written.
        """
        report = requested_report(self.folder, out, steps)
        inputs, tokens = one_text(self.reader, text if isinstance(text, str) else self._checked(text), steps)
        with torch.no_grad():
            x = self.model.steps(*inputs)
        return inspect_answers(self.model, x, tokens, question_of(self.model, x, self.tags), report)

    def _words(self, sentences: Any) -> list[Any]:
        if isinstance(sentences, str):
            raise TypeError("sentences: expected a sequence of sentences, got one str; write [sentence]")
        if is_in_memory(sentences):
            with as_files(sentences, "sentences") as (path,):
                return list(columns_of(self.options).read_words(path, say))
        return [self.reader.split(row) if isinstance(row, str) else self._checked(row) for row in sentences]

    def _checked(self, row: Sequence[Any]) -> list[Any]:
        if isinstance(self.reader, FeatureReader):
            return self.reader.check_row(row)
        return [check_characters(word, "a word") for word in row]

    def _tagged(self, sentences: Iterable[str | Words], probabilities: bool) -> Iterator[_TaggedSentence]:
        unknown = UnknownCharacters(self.reader.vocabulary)
        for group in in_groups(sentences, _BATCH):
            values = self.probabilities(group) if probabilities else [None] * len(group)
            yield from zip(self._predict(group, unknown), values, strict=True)
        unknown.report()

    def _rows(self, found: Iterable[_TaggedSentence]) -> Iterator[dict[str, Any]]:
        for tagged, probabilities in found:
            row: dict[str, Any] = {"tokens": tagged.tokens, "tags": tagged.tags}
            if self.tags.learned is not None:
                row["entities"] = [entity._asdict() for entity in tagged.entities]
            if probabilities is not None:
                row["probabilities"] = probabilities
            yield row

    def _sentences(self, paths: Sequence[Path], form: InputForm | None) -> Iterator[str | Words]:
        if self.options.feature_columns:
            if form == "text":
                raise ValueError("input: this model reads words with feature columns, not text; give --input columns")
            form = "columns"
        if not paths and form != "columns":
            yield from read_lines(())
        elif not paths:
            yield from columns_of(self.options).words_of(Path("standard input"), read_standard_input(), say)
        for path in paths:
            if self._has_columns(path) if form is None else form == "columns":
                yield from columns_of(self.options).read_words(path, say)
            else:
                yield from read_lines([path])

    def _has_columns(self, path: Path) -> bool:
        """Whether a file has a word per line, as training and evaluation read every file."""
        if self.options.feature_columns or has_columns(path):
            return True
        found = columns_of(self.options).tagged_share(path, self.tags.knows) > 0.5
        if found:
            say(f"{path}: read with a word per line, since its lines have tags; --input text reads a sentence per line")
        return found

    def _score(self, examples: Sequence[TaggedWords]) -> dict[str, Any]:
        rows = encode_sentences(self.reader, self.tags.including(Mapped(examples, itemgetter(1))), examples)
        total = BatchStatistics.sum(())
        scores = TagScores(self.tags)
        with torch.no_grad(), Progress("scoring", "tokens", int(rows.lengths.sum())) as progress:
            for at in range(0, len(rows), PART):
                place = slice(at, at + PART)
                some, truth = rows[place], [tags for _, tags in examples[place]]
                for batch in make_batches(self.reader, some, targets_of(rows)[place], _BATCH):
                    loss = loss_of(self.model, self.model(batch.inputs, batch.lengths), batch)
                    total = total.plus(BatchStatistics(*loss, 0, 0))
                    progress.advance(batch.steps, batch.steps)
                answers = [self.tags.names(row.tolist()) for row in decoded(self.model, self.reader, some, _BATCH)]
                scores.add(answers, [self._guessed(row) for row in some], truth)
        unknown = rows.count(self.reader.vocabulary.unknown)
        return scores.found(unknown, total.loss)

    def _guessed(self, row: Tokens) -> list[str]:
        """What the baseline says of a sentence."""
        return [self._written.names[number] for number in self._baseline.guess(row.numbers.tolist())]


_TAGS = "tags"


def encode_sentences(reader: TokenReader, tags: TagSet, examples: Sequence[TaggedWords]) -> TokenRows:
    """Tagged sentences as tokens, and the numbers of their tags, all of which there are.

    Raises:
        ValueError: where tokens are characters and a row is not one.
    """
    count = itertools.count(1)

    def encode(example: TaggedWords) -> dict[str, Any]:
        words, of_words = example
        number = next(count)
        row: dict[str, Any] = {**reader.encode(words), _TAGS: tags.numbers(of_words).numpy()}
        if len(row[NUMBERS]) != len(words):
            raise ValueError(f"sentence {number}: unit char expects a character per line, got words")
        return row

    store = encode_examples(
        examples,
        {**reader.fields, _TAGS: Field(np.min_scalar_type(tags.labels.size - 1))},
        encode,
        {**reader.parts, "tags": tags},
        {},
        "sentences",
    )
    return TokenRows(store, None if reader.alphabet is None else lambda index: words_of(examples[index][0]))


def targets_of(rows: TokenRows) -> RowTensors:
    """The numbers of the tags of such sentences."""
    return RowTensors(rows.store, _TAGS)


def check_parts(tags: TagSet, parts: Mapping[str, Iterable[TaggedWords]]) -> None:
    """Check the tags of data to be scored, see `check_labels`."""
    for name, examples in parts.items():
        check_labels(name, (tag for _, row in examples for tag in row), tags.labels, "tag", tags.knows)


def _columns(tagged: Tagged) -> str:
    pairs = zip(tagged.tokens, tagged.tags, strict=True)
    return "".join(f"{_visible(token)}\t{tag}\n" for token, tag in pairs) + "\n"


def _cells(found: Iterable[_TaggedSentence]) -> Iterator[dict[str, Any]]:
    """A row for each token."""
    for number, (tagged, probabilities) in enumerate(found, 1):
        for place, (token, tag) in enumerate(zip(tagged.tokens, tagged.tags, strict=True)):
            of_token = {} if probabilities is None else {"probabilities": probabilities[place]}
            yield {"sentence": number, "token": token, "tag": tag, **of_token}


def _visible(token: str) -> str:
    """A token that can stand in a column: white space in it as Python escapes it."""
    return token if token.strip() == token and token else token.encode("unicode_escape").decode().replace(" ", "\\x20")


TRAINED = TrainedTagger
