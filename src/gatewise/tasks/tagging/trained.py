"""A trained tagger, read from its run folder: tag texts, score tagged texts."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gatewise.data.batches import Batch
from gatewise.data.columns import TaggedWords, has_columns
from gatewise.data.entities import Entity, count_entities, entities
from gatewise.data.labels import MostFrequent
from gatewise.data.vocabulary_file import read_parts, to_json
from gatewise.models.tagger import Tagger
from gatewise.tasks.answers import in_groups, read_lines, written
from gatewise.tasks.examples import as_paths
from gatewise.tasks.inspection import Inspection, inspect_answers, one_text, requested_report
from gatewise.tasks.opening import same_data
from gatewise.tasks.outcome import Outcome
from gatewise.tasks.reporting import say
from gatewise.tasks.tagging.corpus import columns_of, read_corpus, read_sentences
from gatewise.tasks.tagging.network import decoded, make_batches, make_model, nats_of
from gatewise.tasks.tagging.options import TaggingOptions
from gatewise.tasks.tagging.tag_set import TagSet
from gatewise.tasks.task import Scores, Trained
from gatewise.tasks.token_reader import TokenReader, Tokens

_BATCH = 64


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


class TrainedTagger(Trained):
    """The tagger of a run folder.

    Attributes:
        reader: the tokens.
        tags: the tags.
    """

    name = "tag"
    options: TaggingOptions
    model: Tagger

    def _make(self) -> str:
        parts = read_parts(self.folder.vocabulary, TagSet)
        self.reader = TokenReader.from_parts(parts)
        self.tags: TagSet = parts["tags"]
        self._baseline: MostFrequent = parts["baseline"]
        self.model = make_model(self.options, self.reader, self.tags)
        return to_json(parts)

    def evaluate(self, data: str | Path | Iterable[str | Path] | None = None) -> Scores:
        """Score tagged sentences.

        Args:
            data: files with columns; by default the held-out sentences of the run, and the others to be scored.

        Returns:
            for each part ``sentences``, ``tokens``, ``unknown_tokens``, ``loss`` in nats per token, ``accuracy`` of
            tokens; where tags are of entities ``entity_precision``, ``entity_recall``, ``entity_f1`` as conlleval has
            them, and ``invalid_sentences``, those with a tag where it may not stand; and the accuracy (and F1) of the
            baseline, each token's most frequent tag in the training data.

        Raises:
            ValueError: when the data is malformed, has an unknown tag, or has changed since the run.
            OSError: when a file cannot be read.
        """
        if data is not None:
            parts = {"data": read_sentences(self.options, as_paths(data), of_entities=self.tags.learned is not None)}
        else:
            parts = same_data(self.folder, read_corpus(self.options)).scored
        return {name: self._score(name, examples) for name, examples in parts.items()}

    def predict(self, sentences: Sequence[str | Sequence[str]]) -> list[Tagged]:
        """Tag sentences: raw texts, or lists of their words.

        >>> import gatewise
        >>> model = gatewise.load("runs/tag")  # doctest: +SKIP
        >>> model.predict(["x = 1"])[0].tags  # doctest: +SKIP
        ['name', 'space', 'operator', 'space', 'number']
        """
        if isinstance(sentences, str):
            raise TypeError("sentences: expected a sequence of sentences, got one str; write [sentence]")
        words = [self.reader.split(row) if isinstance(row, str) else list(row) for row in sentences]
        found: list[Tagged] = []
        answers = decoded(self.model, self.reader, [self.reader.read(row) for row in words], _BATCH)
        for row, numbers in zip(words, answers, strict=True):
            tags = self.tags.names(numbers.tolist())
            of_entities = entities(tags) if self.tags.learned is not None else []
            found.append(Tagged(row, self.tags.written(tags), of_entities))
        return found

    def answers(self, paths: Sequence[Path] = (), format: str | None = None) -> Iterator[str]:
        """The tags of the sentences in files, as text.

        Args:
            paths: files with a word per line and columns (.conll, .conllu, .iob, .bio, .bioes, .tsv, .col), or with a
                sentence per line; without any the standard input is read, line by line.
            format: "columns" (the default: word, tab, tag, and a blank line after a sentence), "jsonl" or "csv".

        Raises:
            ValueError: for malformed data.
            OSError: when a file cannot be read.
        """
        found = (tagged for group in in_groups(self._sentences(paths), _BATCH) for tagged in self.predict(group))
        if format not in (None, "columns"):
            return written(map(self._row, found), format)
        return (
            "".join(f"{_visible(token)}\t{tag}\n" for token, tag in zip(tagged.tokens, tagged.tags, strict=True)) + "\n"
            for tagged in found
        )

    def inspect(self, text: str, *, steps: int = 2000, out: str | Path | None = None) -> Inspection:
        """Watch the network tag a text, find which words moved each tag, and write a report.

        Args:
            text: the text, as one sentence.
            steps: the largest number of tokens to read, from the beginning.
            out: the page of HTML to write, by default ``report.html`` in the run folder.

        Raises:
            ValueError: when ``steps`` is below 1, the text has no tokens, or the folder of ``out`` is missing.
            OSError: when the report cannot be written.
        """
        report = requested_report(self.folder, out, steps)
        inputs, tokens = one_text(self.reader, text, steps)
        lengths = torch.tensor([len(tokens)])
        with torch.no_grad():
            numbers = self.model.decode(self.model(inputs, lengths), lengths)

        def told(x: Tensor) -> Tensor:
            of_rows = lengths.expand(x.shape[1])
            found = self.model.log_probabilities(self.model.read(x, of_rows).double(), of_rows)
            return found.gather(2, numbers[..., None].expand(-1, x.shape[1], 1))[..., 0].T

        def loss(x: Tensor) -> Tensor:
            return nats_of(self.model, self.model.read(x, lengths), Batch(inputs, lengths, numbers)) / len(tokens)

        tags = self.tags.written(self.tags.names(numbers[:, 0].tolist()))
        return inspect_answers(self.model, inputs, tokens, tags, told, loss, report)

    def _row(self, tagged: Tagged) -> dict[str, Any]:
        row: dict[str, Any] = {"tokens": tagged.tokens, "tags": tagged.tags}
        if self.tags.learned is not None:
            row["entities"] = [entity._asdict() for entity in tagged.entities]
        return row

    def _sentences(self, paths: Sequence[Path]) -> Iterator[str | list[str]]:
        if not paths:
            yield from read_lines(())
        for path in paths:
            if has_columns(path):
                yield from columns_of(self.options).read_words([path], say)
            else:
                yield from read_lines([path])

    def _score(self, name: str, examples: list[TaggedWords]) -> dict[str, float]:
        rows, targets = numbered(self.reader, self.tags, examples, name)
        with torch.no_grad():
            total = Outcome.sum(
                Outcome(
                    nats_of(self.model, self.model(batch.inputs, batch.lengths), batch), int(batch.lengths.sum()), 0, 0
                )
                for batch in make_batches(self.reader, rows, targets, _BATCH)
            )
        answers = decoded(self.model, self.reader, rows, _BATCH)
        guesses = [torch.tensor(self._baseline.guess(row.numbers.tolist())) for row in rows]
        truth = [self.tags.names(row.tolist()) for row in targets]
        scores: dict[str, float] = {
            "sentences": len(rows),
            "tokens": int(total.predictions),
            "unknown_tokens": self.reader.unknown_tokens(rows),
            "loss": total.loss,
            "accuracy": _share(answers, targets),
        }
        if self.tags.learned is None:
            return {**scores, "baseline_accuracy": _share(guesses, targets)}
        named = [self.tags.names(row.tolist()) for row in answers]
        counts = count_entities(named, truth)
        of_baseline = count_entities([self.tags.names(row.tolist()) for row in guesses], truth)
        return {
            **scores,
            "entity_precision": float(counts.precision),
            "entity_recall": float(counts.recall),
            "entity_f1": float(counts.f1),
            "invalid_sentences": sum(not self.tags.valid(row) for row in named),
            "baseline_accuracy": _share(guesses, targets),
            "baseline_entity_f1": float(of_baseline.f1),
        }


def numbered(
    reader: TokenReader, tags: TagSet, examples: Iterable[TaggedWords], where: str
) -> tuple[list[Tokens], list[Tensor]]:
    """Tagged sentences as tokens and the numbers of their tags.

    Raises:
        ValueError: for a tag that training has not seen.
    """
    rows: list[Tokens] = []
    targets: list[Tensor] = []
    for number, (words, of_words) in enumerate(examples, 1):
        rows.append(reader.read(words))
        targets.append(tags.numbers(of_words, f"{where}: sentence {number}"))
        if len(rows[-1].numbers) != len(words):
            raise ValueError(f"{where}: sentence {number}: unit char expects a character per line, got words")
    return rows, targets


def _share(answers: Sequence[Tensor], targets: Sequence[Tensor]) -> float:
    return float((torch.cat(list(answers)) == torch.cat(list(targets))).double().mean())


def _visible(token: str) -> str:
    """A token that can stand in a column: white space in it as Python escapes it."""
    return token if token.strip() == token and token else token.encode("unicode_escape").decode().replace(" ", "\\x20")
