"""How near answers are to what was expected."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_ROUGE = {"rouge_1": "rouge1", "rouge_2": "rouge2", "rouge_l": "rougeL"}


class AnswerScores:
    """The scores of answers that come in parts, of which statistics alone are kept: those of a corpus are sums.

    >>> scores = AnswerScores()
    >>> scores.add(["the cat sat"], ["the cat sat down"])
    >>> found = scores.found()
    >>> found["exact_match"], round(found["rouge_1"], 3), round(found["rouge_2"], 3)
    (0.0, 0.857, 0.8)
    """

    def __init__(self) -> None:
        from sacrebleu.metrics.bleu import BLEU
        from sacrebleu.metrics.chrf import CHRF

        self._metrics: dict[str, Any] = {"bleu": BLEU(), "chrf": CHRF()}
        self._statistics: dict[str, NDArray[Any]] = {}
        self._count = self._right = 0
        self._rouge = dict.fromkeys(_ROUGE, 0.0)

    def add(self, answers: Sequence[str], targets: Sequence[str]) -> None:
        """Add some answers and what was expected."""
        from torchmetrics.functional.text.rouge import rouge_score  # takes seconds to import

        self._count += len(targets)
        self._right += sum(answer == target for answer, target in zip(answers, targets, strict=True))
        for name, metric in self._metrics.items():
            # What sacrebleu computes a score of a corpus from; it has no public function for corpora in parts.
            of_part = np.sum(metric._extract_corpus_statistics(answers, [targets]), 0)
            self._statistics[name] = self._statistics.get(name, 0) + of_part
        keys = tuple(_ROUGE.values())
        rouge = rouge_score(list(answers), [[target] for target in targets], normalizer=_words, rouge_keys=keys)
        for name, key in _ROUGE.items():
            self._rouge[name] += len(targets) * float(rouge[f"{key}_fmeasure"])

    def found(self) -> dict[str, float]:
        """The scores.

        Returns:
            ``exact_match``, the share of answers that are the target; ``bleu`` and ``chrf`` of the whole, from 0
            to 100, with the defaults of sacrebleu (Post 2018, arXiv:1804.08771);
            ``rouge_1``, ``rouge_2`` and ``rouge_l``, the mean F1 from 0 to 1 (Lin 2004), of words in lower case.
        """
        return {
            "exact_match": self._right / self._count,
            **{
                name: float(metric._aggregate_and_compute([self._statistics[name].tolist()]).score)
                for name, metric in self._metrics.items()
            },
            **{name: total / self._count for name, total in self._rouge.items()},
        }


def _words(text: str) -> str:
    # As rouge-score does it, but for the letters of every language.
    return " ".join(re.findall(r"[^\W_]+", text.lower()))
