"""A trained tagger, read from its run folder: tag texts, score tagged texts."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

from gatewise.data.columns import TaggedWords, Words, has_columns
from gatewise.data.entities import Entity, entities
from gatewise.data.in_memory import as_files, is_in_memory
from gatewise.models.tagger import Tagger
from gatewise.progress import say
from gatewise.tasks.attribution import Inspection
from gatewise.tasks.heads.head import BATCH
from gatewise.tasks.heads.tag_set import TagSet
from gatewise.tasks.prediction_formats import ROW_FORMATS, Endings, written
from gatewise.tasks.prediction_io import in_groups, read_lines, read_standard_input
from gatewise.tasks.tagging.corpus import columns_of
from gatewise.tasks.tagging.options import TaggingOptions
from gatewise.tasks.tagging.pipeline import TaggingPipeline
from gatewise.tasks.tagging.tag_head import TagHead
from gatewise.tasks.tagging.word_features import Word, word_of
from gatewise.tasks.token_reader import TokenReader
from gatewise.tasks.trained import Scores
from gatewise.tasks.trained_on_sequences import TrainedOnSequences
from gatewise.tasks.unknown_characters import UnknownCharacters

InputForm = Literal["columns", "text"]

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


class TrainedTagger(TrainedOnSequences):
    """The tagger of a run folder.

    `evaluate` gives ``sentences``, ``tokens``, ``unknown_tokens``, ``unknown_tags`` (the number of tags that the
    training data does not have, which count as errors), ``loss`` in nats per token with a known tag (with a CRF: of
    sentences of known tags), ``accuracy`` of tokens, in the tags as the data has them; where tags are of entities
    ``entity_precision``, ``entity_recall``, ``entity_f1`` as conlleval has them, and ``invalid_sentences``, those with
    a tag at an invalid position; and the accuracy (and F1) of the baseline, each token's most frequent tag in the
    training data. ``per_tag`` and, where tags are of entities, ``per_entity`` have for each tag as the data has it, and
    each type of entity, ``precision``, ``recall``, ``f1`` and ``support``.

    Attributes:
        reader: the tokens.
        head: the tags.
    """

    name = "tag"
    reads_columns: ClassVar[bool] = True
    formats: ClassVar[Endings] = {**ROW_FORMATS, "columns": (".conll", ".iob", ".bio", ".bioes", ".tsv", ".col")}
    pipeline_type = TaggingPipeline
    options: TaggingOptions
    reader: TokenReader
    head: TagHead
    model: Tagger

    @property
    def tags(self) -> TagSet:
        """The tags that the network knows."""
        return self.head.tags

    def finish(self, scored: Mapping[str, Sequence[TaggedWords]]) -> Scores:
        """The scores; with a warning where many sentences have an invalid sequence of tags."""
        found = super().finish(scored)
        for name, scores in found.items():
            invalid = scores.get("invalid_sentences", 0)
            if invalid > _MANY * scores["sentences"]:
                say(
                    f"warning: {name.replace('_', ' ')}: {invalid:,} of {scores['sentences']:,} sentences have a tag "
                    "where it may not stand; the output crf never writes one"
                )
        return found

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
        for row, tags in zip(words, self.head.predicted(self.model, self.reader, rows), strict=True):
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
        for of_sentence in self.head.probabilities(self.model, self.reader, rows):
            found.append([dict.fromkeys(names, 0.0) for _ in of_sentence])
            for values, row in zip(found[-1], of_sentence.tolist(), strict=True):
                for name, value in zip(names, row, strict=True):
                    values[name] += value
        return found

    def predict_files(
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
        """Watch the network tag a text, attribute each tag to the words, and write a report.

        Args:
            text: the text, as one sentence, or the words of a sentence.
            steps: the largest number of tokens to read, from the beginning.
            out: the page of HTML to write, by default ``report.html`` in the run folder.

        Raises:
            ValueError: when ``steps`` is below 1, the text has no tokens, or the folder of ``out`` is missing.
            OSError: when the report cannot be written.
        """
        row = text if isinstance(text, str) else self.reader.check_row(text)
        return self._inspect_tokens(row, steps, steps, out)

    def _words(self, sentences: Any) -> list[Any]:
        if isinstance(sentences, str):
            raise TypeError("sentences: expected a sequence of sentences, got one str; write [sentence]")
        if is_in_memory(sentences):
            with as_files(sentences, "sentences") as (path,):
                return list(columns_of(self.options).read_words(path, say))
        return [self.reader.split(row) if isinstance(row, str) else self.reader.check_row(row) for row in sentences]

    def _tagged(self, sentences: Iterable[str | Words], probabilities: bool) -> Iterator[_TaggedSentence]:
        unknown = UnknownCharacters(self.reader.vocabulary)
        for group in in_groups(sentences, BATCH):
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


def _columns(tagged: Tagged) -> str:
    pairs = zip(tagged.tokens, tagged.tags, strict=True)
    return "".join(f"{_visible(token)}\t{tag}\n" for token, tag in pairs) + "\n"


def _cells(found: Iterable[_TaggedSentence]) -> Iterator[dict[str, Any]]:
    """A row for each token."""
    for number, (tagged, probabilities) in enumerate(found, 1):
        for index, (token, tag) in enumerate(zip(tagged.tokens, tagged.tags, strict=True)):
            of_token = {} if probabilities is None else {"probabilities": probabilities[index]}
            yield {"sentence": number, "token": token, "tag": tag, **of_token}


def _visible(token: str) -> str:
    """A token as a column holds it: white space escaped as in Python."""
    return token if token.strip() == token and token else token.encode("unicode_escape").decode().replace(" ", "\\x20")


TRAINED = TrainedTagger
