"""How near answers are to what was expected."""

import re
from collections.abc import Sequence

_ROUGE = {"rouge_1": "rouge1", "rouge_2": "rouge2", "rouge_l": "rougeL"}


def answer_scores(answers: Sequence[str], targets: Sequence[str]) -> dict[str, float]:
    """The scores of answers.

    Returns:
        ``exact_match``, the share of answers that are the target; ``bleu`` and ``chrf`` of the whole, from 0
        to 100, with the defaults of sacrebleu (Post 2018, arXiv:1804.08771);
        ``rouge_1``, ``rouge_2`` and ``rouge_l``, the mean F1 from 0 to 1 (Lin 2004), of words in lower case.

    >>> scores = answer_scores(["the cat sat"], ["the cat sat down"])
    >>> scores["exact_match"], round(scores["rouge_1"], 3), round(scores["rouge_2"], 3)
    (0.0, 0.857, 0.8)
    """
    import sacrebleu
    from torchmetrics.functional.text.rouge import rouge_score  # takes seconds to import

    right = sum(answer == target for answer, target in zip(answers, targets, strict=True))
    scores = {
        "exact_match": right / len(targets),
        "bleu": sacrebleu.corpus_bleu(answers, [targets]).score,
        "chrf": sacrebleu.corpus_chrf(answers, [targets]).score,
    }
    rouge = rouge_score(
        list(answers), [[target] for target in targets], normalizer=_words, rouge_keys=tuple(_ROUGE.values())
    )
    return scores | {name: float(rouge[f"{key}_fmeasure"]) for name, key in _ROUGE.items()}


def _words(text: str) -> str:
    # As rouge-score does it, but for the letters of every language.
    return " ".join(re.findall(r"[^\W_]+", text.lower()))
