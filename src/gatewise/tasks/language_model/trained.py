"""A trained language model, read from its run folder: score a text, write a text, list what may come next."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gatewise.data.encoded_text import EncodedText
from gatewise.data.in_memory import as_files, write_text
from gatewise.data.text import sha256
from gatewise.data.texts import Text, open_text, read_chunks
from gatewise.data.token_store import key_of
from gatewise.data.vocabularies import load_vocabulary
from gatewise.data.vocabulary import TextVocabulary
from gatewise.models.language_model import LanguageModel, State
from gatewise.tasks.cells import cell_of
from gatewise.tasks.initial_weights import initialised, recurrent_init, regularisation_of
from gatewise.tasks.inspection import requested_report
from gatewise.tasks.language_model.encoded_corpus import encode_texts, open_corpus
from gatewise.tasks.language_model.inspection import TextInspection, inspect_text
from gatewise.tasks.language_model.options import LanguageModelOptions
from gatewise.tasks.language_model.predicting import check_request, predicted
from gatewise.tasks.language_model.scores import TokenScore, score_text, score_tokens
from gatewise.tasks.prediction_request import PredictionRequest
from gatewise.tasks.sampling import check_sampling, sampling_probabilities
from gatewise.tasks.trained import Trained
from gatewise.tasks.unknown_characters import UnknownCharacters

_MIN_TOKENS = 1000


class TrainedLanguageModel(Trained):
    """The language model of a run folder.

    Attributes:
        vocabulary: the tokens.
    """

    name = "lm"
    output_unit = "tokens"
    options: LanguageModelOptions
    model: LanguageModel

    def _read_vocabulary(self) -> None:
        self.vocabulary: TextVocabulary = load_vocabulary(self.folder.vocabulary)

    def _make_model(self) -> LanguageModel:
        return make_model(self.options, self.vocabulary)

    def evaluate(self, data: Any = None) -> dict[str, dict[str, float]]:
        """Score texts, each as one stream.

        Args:
            data: text files, patterns and folders, as for training, or a table in memory with a column ``text``; by
                default the held-out text of the run, and the other texts that it is to be scored on.

        Returns:
            for each text its scores, see `gatewise.tasks.language_model.scores.score_text`.

        Raises:
            ValueError: when a file is empty or not UTF-8, or the data of the run has changed since.
            OSError: when a file cannot be read.
        """
        with self._to_evaluate(data) as texts:
            return self._scores_of(texts)

    @contextmanager
    def _to_evaluate(self, data: Any) -> Iterator[Mapping[str, EncodedText]]:
        if data is None:
            yield open_corpus(self.folder, self.options, self.vocabulary).scored
            return
        with as_files(data, write=write_text) as paths:
            yield {"data": self._encoded(*open_text(paths))}

    def _scores_of(self, read: Mapping[str, EncodedText], **search: Any) -> dict[str, dict[str, float]]:
        return self.finish(read)

    def finish(self, scored: Mapping[str, EncodedText]) -> dict[str, dict[str, float]]:
        """The scores of texts, as of `evaluate`."""
        return {name: score_text(self.model, self.vocabulary, text) for name, text in scored.items()}

    def final_notice(self) -> str:
        """A sample of text."""
        return f"sample:\n{self.generate(length=300, temperature=0.8, seed=0)}"

    def subsample(self, scored: Mapping[str, EncodedText], share: float) -> dict[str, EncodedText]:
        """The beginning of each text."""
        return {
            name: text.beginning(max(int(share * len(text)), _MIN_TOKENS), self.vocabulary)
            for name, text in scored.items()
        }

    def predict_requested(self, request: PredictionRequest) -> Iterable[str | bytes]:
        """A text, the most likely next tokens, or the scores of a text, as `gatewise predict` writes them.

        Raises:
            ValueError: for options that exclude one another, are out of their bounds, or that the model does not have.
            OSError: when a file cannot be read.
        """
        check_request(request)
        if request.score is not None:
            request = replace(request, format=self._format_of(request))
        return predicted(self, request)

    def generate(
        self,
        prompt: str = "",
        length: int = 500,
        *,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int | None = None,
    ) -> str:
        """Write the continuation of a prompt.

        Args:
            prompt: the text to continue; without one, a line begins.
            length: the number of tokens to write.
            temperature: see `gatewise.tasks.sampling.sampling_probabilities`, as for the next two.
            top_k: how many of the most likely tokens to choose from.
            top_p: how much probability to choose from.
            seed: the same seed gives the same text; by default another one every time.

        Returns:
            the continuation, without the prompt.

        Raises:
            ValueError: for an option out of its bounds.
        """
        return "".join(self.stream(prompt, length, temperature=temperature, top_k=top_k, top_p=top_p, seed=seed))

    def stream(
        self,
        prompt: str = "",
        length: int = 500,
        *,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int | None = None,
    ) -> Iterator[str]:
        """As `generate`, but piece by piece, as the text is written."""
        check_sampling(temperature, top_k, top_p, seed)
        if length < 0:
            raise ValueError(f"length: expected a number of tokens, at least 0, got {length}")
        generator = torch.Generator()
        if seed is None:
            generator.seed()
        else:
            generator.manual_seed(seed)
        return self.vocabulary.decode_pieces(self._sample(prompt, length, temperature, top_k, top_p, generator))

    def next(self, prompt: str, count: int = 10) -> list[tuple[str, float]]:
        """The most likely next tokens after a prompt, with their probabilities, the most likely first.

        Raises:
            ValueError: when `count` is below 1.
        """
        if count < 1:
            raise ValueError(f"next: expected a number of tokens, at least 1, got {count}")
        logits, _ = self._read(prompt)
        values, tokens = logits.softmax(-1).topk(min(count, self.vocabulary.size))
        return [(self.vocabulary.name(int(token)), float(value)) for token, value in zip(tokens, values, strict=True)]

    def score(self, text: str, top: int = 5) -> Iterator[TokenScore]:
        """What the model thinks of every token of a text but the first.

        Args:
            text: the text.
            top: how many of the most likely tokens to give at every place.

        Raises:
            ValueError: when `top` is below 1 or the text has fewer than two tokens.
        """
        return self._score(Text.of(text), sha256(text), top)

    def score_file(self, path: Path, top: int = 5) -> Iterator[TokenScore]:
        """The same of the text of a file, which may be larger than memory.

        Raises:
            ValueError: as `score`; when the file is empty or not UTF-8.
            OSError: when it cannot be read.
        """
        return self._score(*open_text([path]), top)

    def _score(self, text: Text, digest: str, top: int) -> Iterator[TokenScore]:
        if top < 1:
            raise ValueError(f"top_k: expected a number at least 1, got {top}")
        return score_tokens(self.model, self.vocabulary, text, self._encoded(text, digest), top)

    def _encoded(self, text: Text, digest: str) -> EncodedText:
        """The tokens of a text that is not that of the run."""
        key = key_of({"data": digest}, None, self.vocabulary)
        return encode_texts({"data": text}, key, self.vocabulary)[0]["data"]

    def text_of(self, paths: Sequence[Path]) -> Iterator[str]:
        """What `inspect` reads of files, patterns and folders, part by part.

        Raises:
            ValueError, OSError: as `gatewise.data.texts.open_text`.
        """
        return read_chunks(paths)

    def inspect(self, text: str | Iterable[str], *, steps: int = 2000, out: str | Path | None = None) -> TextInspection:
        """Watch the model while it reads a text, forward and backward, and write a report.

        Args:
            text: the text, whole or in parts; its first ``steps`` tokens are read, as one stream.
            steps: the largest number of tokens to read.
            out: the page of HTML to write, by default ``report.html`` in the run folder.

        Returns:
            what was read; its ``trace.diagnose()`` has the findings, and `gatewise.watch` says what else can be
            asked.

        Raises:
            ValueError: when ``steps`` is below 1, the text has fewer than two tokens, or the folder of ``out`` is
                missing.
            OSError: when the report cannot be written.
        """
        report = requested_report(self.folder, out, steps)
        return inspect_text(self.model, self.vocabulary, text, steps, report)

    def _read(self, prompt: str) -> tuple[Tensor, State]:
        """The scores (V,) after a prompt, and the state."""
        with torch.no_grad():
            tokens = self.vocabulary.encode(prompt or "\n")
            if len(tokens) == 0:
                raise ValueError(f"prompt: {prompt!r} has no tokens (unit {self.vocabulary.unit})")
            unknown = UnknownCharacters(self.vocabulary)
            unknown.add(tokens, prompt or "\n")
            unknown.report()
            logits, state = self.model(tokens[:, None])
        return logits[-1, 0], state

    def _sample(
        self,
        prompt: str,
        length: int,
        temperature: float,
        top_k: int | None,
        top_p: float | None,
        generator: torch.Generator,
    ) -> Iterator[int]:
        logits, state = self._read(prompt)
        with self.model.recurrent.frozen():
            for _ in range(length):
                if self.vocabulary.unknown is not None:
                    logits[self.vocabulary.unknown] = float("-inf")  # it has no text to write
                probabilities = sampling_probabilities(logits, temperature, top_k, top_p)
                token = torch.multinomial(probabilities, 1, generator=generator)
                yield int(token)
                with torch.no_grad():
                    step_logits, state = self.model.step(token, state)
                logits = step_logits[0]


def make_model(options: LanguageModelOptions, vocabulary: TextVocabulary) -> LanguageModel:
    """The model that the options describe, with its initial weights."""
    model = LanguageModel(
        vocabulary.size,
        options.embedding,
        options.hidden,
        cell=cell_of(options.cell),
        num_layers=options.layers,
        dropout=options.dropout,
        init=recurrent_init(options),
        regularisation=regularisation_of(options),
        tie=options.tie,
    )
    return initialised(model, options)


TRAINED = TrainedLanguageModel
