"""A trained sequence-to-sequence model, read from its run folder: answer texts, score answers."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gatewise.data.pairs import Pair, source_column_of
from gatewise.data.vocabulary_file import read_parts
from gatewise.models.beam_search import Hypothesis
from gatewise.models.sequence_to_sequence import SequenceToSequence
from gatewise.tasks.answers import in_groups, read_texts, written
from gatewise.tasks.examples import as_paths
from gatewise.tasks.inspection import requested_report
from gatewise.tasks.opening import same_data
from gatewise.tasks.options import build, check
from gatewise.tasks.outcome import Outcome
from gatewise.tasks.sequence_to_sequence.baselines import FrequentWords
from gatewise.tasks.sequence_to_sequence.corpus import baselines_of, read_corpus, read_named_pairs
from gatewise.tasks.sequence_to_sequence.inspection import AnswerInspection, inspect_answer
from gatewise.tasks.sequence_to_sequence.network import answered, make_batches, make_model, outcome_of
from gatewise.tasks.sequence_to_sequence.options import DecodingOptions, SequenceToSequenceOptions
from gatewise.tasks.sequence_to_sequence.scores import answer_scores
from gatewise.tasks.sequence_to_sequence.text_side import KINDS, numbered, sides_of_parts
from gatewise.tasks.trained import Scores, Trained

_GROUP = 512


class Answer(NamedTuple):
    """What a model writes for a source.

    Attributes:
        text: the best answer.
        log_probability: of it, natural.
        candidates: the answers that were found, with their log-probabilities, the best one first.
    """

    text: str
    log_probability: float
    candidates: list[tuple[str, float]]


class TrainedSequenceToSequence(Trained):
    """The model of a run folder.

    Attributes:
        source, target: the tokens of both sides.
    """

    searches = True
    name = "seq2seq"
    options: SequenceToSequenceOptions
    model: SequenceToSequence

    def _read_vocabulary(self) -> None:
        parts = read_parts(self.folder.vocabulary, *KINDS, FrequentWords)
        self.source, self.target = sides_of_parts(parts)
        self._baselines = baselines_of(self.options, parts.get("frequent_words"))

    def _make_model(self) -> SequenceToSequence:
        return make_model(self.options, self.source, self.target)

    def evaluate(
        self,
        data: str | Path | Iterable[str | Path] | None = None,
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
        if data is not None:
            parts = {"data": read_named_pairs(self.options, as_paths(data))}
        else:
            parts = same_data(self.folder, read_corpus(self.options)).scored
        scores: Scores = {}
        for name, pairs in parts.items():
            scores[name] = self._score(pairs, search)
            targets = [target for _, target in pairs]
            for baseline, answer in self._baselines.items():
                answers = [answer(source) for source, _ in pairs]
                scores[f"{name}_baseline_{baseline}"] = {"pairs": len(pairs), **answer_scores(answers, targets)}
        return scores

    def predict(
        self, texts: Sequence[str], *, beam: int | None = None, length_penalty: float | None = None
    ) -> list[Answer]:
        """Answer texts.

        Args:
            texts: the sources.
            beam, length_penalty: how answers are searched; by default as the run's options say.

        Raises:
            TypeError: for one text instead of a sequence.
            ValueError: when an option is out of its bounds.

        >>> import gatewise
        >>> model = gatewise.load("runs/dates")  # doctest: +SKIP
        >>> model.predict(["the third of March 1987"])[0].text  # doctest: +SKIP
        '1987-03-03'
        """
        if isinstance(texts, str):
            raise TypeError("texts: expected a sequence of texts, got one str; write [text]")
        search = self._search(beam, length_penalty)
        found = self._found([self.source.read(text, search.longest) for text in texts], search)
        answers: list[Answer] = []
        for hypotheses in found:
            candidates = [(self.target.write(one.tokens), one.log_probability) for one in hypotheses]
            answers.append(Answer(*candidates[0], candidates))
        return answers

    def answers(self, paths: Sequence[Path] = (), format: str | None = None, **search: Any) -> Iterator[str]:
        """Answers to the lines of files, as text.

        Args:
            paths: files with a source per line, or tables; without any the standard input is read.
            format: "jsonl" (the default), "csv", or "text", an answer per line and an empty one for an empty line.
            **search: ``beam`` and ``length_penalty``, see `predict`.

        Raises:
            ValueError: for another format, an option out of its bounds, or a text that is not UTF-8.
            OSError: when a file cannot be read.
        """
        self._search(**search)
        if format == "text":
            return self._lines(paths, search)
        return written(self._rows(paths, search), format)

    def inspect(self, text: str, *, steps: int = 2000, out: str | Path | None = None) -> AnswerInspection:
        """Watch the model while it reads a text and its own answer, forward and backward; write a report and a picture.

        Args:
            text: the source.
            steps: the largest number of its tokens to read, from the beginning.
            out: the page of HTML to write, by default ``report.html`` in the run folder; the attention as a picture
                stands beside it (``report_attention.png``).

        Raises:
            ValueError: when ``steps`` is below 1, the text is empty, or the folder of ``out`` is missing.
            OSError: when a file cannot be written.
        """
        report = requested_report(self.folder, out, steps)
        if not text.strip():
            raise ValueError("the text has no tokens; at least 1 is needed")
        search = self._search()
        source = self.source.read(text.strip(), min(steps + 1, search.longest))
        ((best, *_),) = self._found([source], search)
        return inspect_answer(self.model, (self.source, self.target), source, best.tokens, report)

    def _found(self, sources: Sequence[Tensor], search: DecodingOptions) -> list[list[Hypothesis]]:
        return answered(
            self.model,
            sources,
            self.target.end,
            beam=search.beam,
            longest=search.longest,
            penalty=search.length_penalty,
        )

    def _rows(self, paths: Sequence[Path], search: dict[str, Any]) -> Iterator[dict[str, Any]]:
        for texts in in_groups(read_texts(paths, self._column), _GROUP):
            for text, found in zip(texts, self.predict(texts, **search), strict=True):
                yield {"source": text, "answer": found.text, "log_probability": found.log_probability}

    def _lines(self, paths: Sequence[Path], search: dict[str, Any]) -> Iterator[str]:
        for texts in in_groups(read_texts(paths, self._column, empty=True), _GROUP):
            found = iter(self.predict([text for text in texts if text.strip()], **search))
            for text in texts:
                yield (" ".join(next(found).text.split()) if text.strip() else "") + "\n"

    def _column(self, path: Path) -> str:
        return source_column_of(path, self.options.source_column)

    def _search(self, beam: int | None = None, length_penalty: float | None = None) -> DecodingOptions:
        given = {"beam": beam, "length_penalty": length_penalty}
        own = {name: getattr(self.options, name) for name in ("beam", "length_penalty", "longest")}
        chosen = build(DecodingOptions, own | {name: value for name, value in given.items() if value is not None})
        check(chosen)
        return chosen

    def _score(self, pairs: list[Pair], search: DecodingOptions) -> dict[str, float]:
        sources, targets = numbered(self.source, self.target, pairs, search.longest)
        with torch.no_grad():
            total = Outcome.sum(map(outcome_of(self.model, 0.0), make_batches(sources, targets, self.options.batch)))
        answers = self.predict([source for source, _ in pairs], beam=search.beam, length_penalty=search.length_penalty)
        return {
            "pairs": len(pairs),
            "loss": total.loss,
            "token_accuracy": total.counted,
            **answer_scores([answer.text for answer in answers], [target for _, target in pairs]),
        }


TRAINED = TrainedSequenceToSequence
