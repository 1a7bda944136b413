"""A trained sequence-to-sequence model, read from its run folder: answer texts, score answers."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from gatewise.data.in_memory import is_in_memory, texts_of
from gatewise.data.pairs import Pair, source_column_of
from gatewise.data.vocabulary_file import read_parts
from gatewise.models.beam_search import Hypothesis
from gatewise.models.sequence_to_sequence import SequenceToSequence
from gatewise.progress import say, tracked
from gatewise.tasks.batch_statistics import BatchStatistics
from gatewise.tasks.examples import read_all, read_examples
from gatewise.tasks.inspection import requested_report
from gatewise.tasks.options import build, check
from gatewise.tasks.prediction_formats import ROW_FORMATS, Endings, written
from gatewise.tasks.prediction_io import first_text, in_groups, predict_texts, read_texts
from gatewise.tasks.sequence_to_sequence.baselines import FrequentWords
from gatewise.tasks.sequence_to_sequence.corpus import baselines_of, paired_data
from gatewise.tasks.sequence_to_sequence.inspection import AnswerInspection, inspect_answer
from gatewise.tasks.sequence_to_sequence.network import make_batches, make_model, search_answers, statistics_of
from gatewise.tasks.sequence_to_sequence.options import DecodingOptions, SequenceToSequenceOptions
from gatewise.tasks.sequence_to_sequence.scores import AnswerScores
from gatewise.tasks.sequence_to_sequence.text_side import KINDS, TextSide, encode_pairs, read_sources, sides_of_parts
from gatewise.tasks.trained import Scores, Trained
from gatewise.tasks.unknown_characters import UnknownCharacters

_GROUP = 512


class Answer(NamedTuple):
    """What a model writes for a source.

    Attributes:
        text: the best answer.
        log_probability: of it, natural.
        candidates: the answers that were found, with their log-probabilities, the best one first.
        is_complete: whether it has an end; otherwise it was truncated at the largest number of tokens, ``longest``.
    """

    text: str
    log_probability: float
    candidates: list[tuple[str, float]]
    is_complete: bool = True


class TrainedSequenceToSequence(Trained):
    """The model of a run folder.

    Attributes:
        source, target: the tokens of both sides.
    """

    searches = True
    formats: ClassVar[Endings] = {**ROW_FORMATS, "text": (".txt",)}
    name = "seq2seq"
    options: SequenceToSequenceOptions
    model: SequenceToSequence

    def _read_vocabulary(self) -> None:
        parts = read_parts(self.folder.vocabulary, *KINDS, FrequentWords)
        self.source, self.target = sides_of_parts(parts)
        self._baselines = baselines_of(self.options, parts.get("frequent_words"))

    def _make_model(self) -> SequenceToSequence:
        return make_model(self.options, self.source, self.target)

    @property
    def export_details(self) -> Mapping[str, Any]:
        """The end of both sides, the token that also begins an answer."""
        return {"source_end": self.source.end, "target_end": self.target.end}

    def evaluate(
        self,
        data: Any = None,
        *,
        beam: int | None = None,
        length_penalty: float | None = None,
    ) -> Scores:
        """Score answers.

        Args:
            data: tables of pairs or two parallel files; by default the held-out pairs of the run, and the others that
                it is to be scored on.
            beam, length_penalty: how answers are searched; by default as the run's options say.

        Returns:
            for each part ``pairs``, ``loss`` in nats per token, ``token_accuracy`` with the tokens before given, and
            of the answers ``exact_match``, ``bleu``, ``chrf``, ``rouge_1``, ``rouge_2`` and ``rouge_l``; after it the
            scores of answers without a model, named ``…_baseline_…``.

        Raises:
            ValueError: when the data is malformed or has changed since the run, or an option is out of its bounds.
            OSError: when a file cannot be read.
        """
        search = self._search(beam, length_penalty)
        with self._to_evaluate(data) as parts:
            return self._scores(parts, search)

    @contextmanager
    def _to_evaluate(self, data: Any) -> Iterator[Mapping[str, Sequence[Pair]]]:
        source = paired_data(self.options)
        yield self._to_score(
            data,
            lambda paths: read_all(source, paths)[0],
            lambda known: read_examples(self.options, source, known),
        )

    def _scores_of(self, read: Mapping[str, Sequence[Pair]], **search: Any) -> Scores:
        return self._scores(read, self._search(**search))

    def check_search(self, search: Mapping[str, Any]) -> None:
        """Check options of the search.

        Raises:
            ValueError: when one is out of its bounds.
        """
        self._search(**search)

    def finish(self, scored: Mapping[str, Sequence[Pair]]) -> Scores:
        """The scores, as of `evaluate`."""
        return self._scores(scored, self._search())

    def _scores(self, parts: Mapping[str, Sequence[Pair]], search: DecodingOptions) -> Scores:
        scores: Scores = {}
        for name, pairs in parts.items():
            scores[name] = self._score(pairs, search)
            for baseline, answer in self._baselines.items():
                found = AnswerScores()
                for start in range(0, len(pairs), _GROUP):
                    sources, targets = zip(*pairs[start : start + _GROUP], strict=True)
                    found.add([answer(source) for source in sources], targets)
                scores[f"{name}_baseline_{baseline}"] = {"pairs": len(pairs), **found.found()}
        return scores

    @property
    def has_probabilities(self) -> bool:
        return True

    def predict(self, texts: Any, *, beam: int | None = None, length_penalty: float | None = None) -> list[Answer]:
        """Answer texts.

        Args:
            texts: the sources, or a table in memory with a column of them.
            beam, length_penalty: how answers are searched; by default as the run's options say.

        Raises:
            TypeError: for one text instead of a sequence.
            ValueError: when an option is out of its bounds.

        >>> import gatewise
        >>> model = gatewise.load("runs/dates", "seq2seq")  # doctest: +SKIP
        >>> model.predict(["the third of March 1987"])[0].text  # doctest: +SKIP
        '1987-03-03'
        """
        if isinstance(texts, str):
            raise TypeError("texts: expected a sequence of texts, got one str; write [text]")
        if is_in_memory(texts):
            texts = texts_of(texts, self.options.source_column or "source")
        search = self._search(beam, length_penalty)
        notices = _Notices(self.source, search.longest)
        texts = list(texts)
        sources = read_sources(self.source, texts, search.longest)
        notices.add_sources(texts, sources.numbers, sources.cut)
        answers = self._answers(sources.numbers, search)
        notices.add_answers(answers)
        notices.report()
        return answers

    def predict_files(
        self,
        paths: Sequence[Path] = (),
        format: str | None = None,
        *,
        probabilities: bool = False,
        beam: int | None = None,
        length_penalty: float | None = None,
    ) -> Iterator[str] | Iterator[bytes]:
        """Answers to the lines of files, as the content of a file; an empty line has an empty answer.

        Args:
            paths: files with a source per line, or tables; without any the standard input is read.
            format: "jsonl" (the default), "csv", "parquet", or "text", an answer per line.
            probabilities: whether to write the other answers that were found too, with their log-probabilities, which
                text cannot hold.
            beam, length_penalty: see `predict`.

        Raises:
            ValueError: for another format, an option out of its bounds, or a text that is not UTF-8.
            OSError: when a file cannot be read.
        """
        search = self._search(beam, length_penalty)
        found = self._found_in(paths, search)
        if format == "text":
            if probabilities:
                raise ValueError("probabilities: text has the best answers alone; give --format jsonl, csv or parquet")
            return (f"{' '.join(answer.text.split()) if answer else ''}\n" for _, answer in found)
        others = None if not probabilities else search.beam - 1 if format == "csv" else 0
        return written((_row(text, answer, others) for text, answer in found), format)

    def inspect(self, text: str, *, steps: int = 2000, out: str | Path | None = None) -> AnswerInspection:
        """Watch the model while it reads a text and its own answer, forward and backward; write a report and a plot.

        Args:
            text: the source.
            steps: the largest number of its tokens to read, from the beginning.
            out: the page of HTML to write, by default ``report.html`` in the run folder; the attention is
                plotted next to it (``report_attention.png``).

        Raises:
            ValueError: when ``steps`` is below 1, the text is empty, or the folder of ``out`` is missing.
            OSError: when a file cannot be written.
        """
        report = requested_report(self.folder, out, steps)
        if not text.strip():
            raise ValueError("the text has no tokens; at least 1 is needed")
        search = self._search()
        (source,), _ = read_sources(self.source, [text.strip()], min(steps + 1, search.longest))
        ((best, *_),) = self._found([source], search)
        unknown = UnknownCharacters(self.source.vocabulary)
        unknown.add(source[:-1], text.strip())
        unknown.report()
        return inspect_answer(self.model, (self.source, self.target), source, best.tokens, report)

    def _found(self, sources: Sequence[Tensor], search: DecodingOptions) -> list[list[Hypothesis]]:
        return search_answers(
            self.model,
            sources,
            self.target.end,
            beam=search.beam,
            longest=search.longest,
            penalty=search.length_penalty,
        )

    def _answers(self, sources: Sequence[Tensor], search: DecodingOptions) -> list[Answer]:
        answers: list[Answer] = []
        for hypotheses in self._found(sources, search):
            candidates = [(self.target.write(one.tokens), one.log_probability) for one in hypotheses]
            answers.append(Answer(*candidates[0], candidates, hypotheses[0].is_complete))
        return answers

    def _found_in(self, paths: Sequence[Path], search: DecodingOptions) -> Iterator[tuple[str, Answer | None]]:
        """The texts of files and their answers, None for a text without a word."""
        notices = _Notices(self.source, search.longest)

        def answer(texts: list[str]) -> list[Answer]:
            sources = read_sources(self.source, texts, search.longest)
            notices.add_sources(texts, sources.numbers, sources.cut)
            answers = self._answers(sources.numbers, search)
            notices.add_answers(answers)
            return answers

        for texts in in_groups(read_texts(paths, self._column, self.options.table_format), _GROUP):
            yield from zip(texts, predict_texts(texts, answer), strict=True)
        notices.report()

    def text_of(self, paths: Sequence[Path]) -> str:
        """What `inspect` reads of files: the source of the first row of a table, otherwise all text."""
        return first_text(paths, self._column, self.options.table_format)

    def _column(self, path: Path) -> str:
        return source_column_of(path, self.options.source_column, self.options.table_format)

    def _search(self, beam: int | None = None, length_penalty: float | None = None) -> DecodingOptions:
        given = {"beam": beam, "length_penalty": length_penalty}
        own = {name: getattr(self.options, name) for name in ("beam", "length_penalty", "longest")}
        chosen = build(DecodingOptions, own | {name: value for name, value in given.items() if value is not None})
        check(chosen)
        return chosen

    def _score(self, pairs: Sequence[Pair], search: DecodingOptions) -> dict[str, float]:
        encoded = encode_pairs(self.source, self.target, pairs, search.longest)
        with torch.no_grad():
            batches = make_batches(encoded.sources, encoded.targets, self.options.batch)
            batches = tracked(batches, "scoring", "pairs", size=lambda batch: len(batch.lengths))
            total = BatchStatistics.sum(map(statistics_of(self.model, 0.0), batches))
        notices = _Notices(self.source, search.longest)
        notices.add_sources((text for text, _ in pairs), encoded.sources, encoded.cut)
        scores = AnswerScores()
        for start in range(0, len(pairs), _GROUP):
            found = self._answers(encoded.sources[start : start + _GROUP], search)
            notices.add_answers(found)
            targets = [target for _, target in pairs[start : start + _GROUP]]
            scores.add([answer.text for answer in found], targets)
        notices.report()
        return {"pairs": len(pairs), "loss": total.loss, "token_accuracy": total.ratio, **scores.found()}


class _Notices:
    """Counts unknown characters, truncated sources and truncated answers, for one notice of each kind.

    Args:
        source: the tokens of sources.
        longest: the largest number of tokens of a source, and of an answer.
    """

    def __init__(self, source: TextSide, longest: int) -> None:
        self._longest = longest
        self._unknown = UnknownCharacters(source.vocabulary)
        self._sources = self._cut = self._answers = self._truncated = 0

    def add_sources(self, texts: Iterable[str], sources: Sequence[Tensor], cut: int) -> None:
        self._sources += len(sources)
        self._cut += cut
        for text, numbers in zip(texts, sources, strict=True):
            self._unknown.add(numbers[:-1], text)

    def add_answers(self, answers: Sequence[Answer]) -> None:
        self._answers += len(answers)
        self._truncated += sum(not answer.is_complete for answer in answers)

    def report(self) -> None:
        self._unknown.report()
        if self._cut:
            say(
                f"warning: {self._cut:,} of {self._sources:,} sources have more than {self._longest:,} tokens, the end "
                "included; the rest of each is not read (--longest)"
            )
        if self._truncated:
            say(
                f"warning: {self._truncated:,} of {self._answers:,} answers had no end after {self._longest:,} tokens "
                "and are truncated there (--longest)"
            )


def _row(text: str, answer: Answer | None, others: int | None) -> dict[str, Any]:
    """What is written of an answer.

    Args:
        text: the source.
        answer: the answer; None where there is none.
        others: how many other answers a row has at least, empty ones after those that were found; None for no others.
    """
    row: dict[str, Any] = {
        "source": text,
        "answer": answer.text if answer else "",
        "log_probability": answer.log_probability if answer else None,
    }
    if others is not None:
        found = answer.candidates[1:] if answer else []
        filled = [*found, *[(None, None)] * (others - len(found))]
        row["alternatives"] = [{"answer": one, "log_probability": value} for one, value in filled]
    return row


TRAINED = TrainedSequenceToSequence
