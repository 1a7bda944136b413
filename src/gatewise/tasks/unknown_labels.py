"""Labels of data to be scored that the training data does not have."""

from collections import Counter
from collections.abc import Callable, Iterable

from torch import Tensor
from torch.nn import functional

from gatewise.data.labels import Labels
from gatewise.data.streams import NO_TARGET
from gatewise.progress import say

_SHOWN = 5


def check_labels(
    part: str,
    found: Iterable[str],
    labels: Labels,
    what: str = "label",
    known: Callable[[str], bool] | None = None,
) -> None:
    """Warn of labels that the training data does not have: they are never predicted, and count as errors.

    Args:
        part: the part of the data, such as ``held_out``.
        found: its labels.
        labels: those of the training data.
        what: what a label is called.
        known: whether the training data has a label, where not simply those are known.

    Raises:
        ValueError: when it has none of them.
    """
    counts = Counter(found)
    is_known = labels.__contains__ if known is None else known
    unknown = Counter({label: count for label, count in counts.items() if not is_known(label)})
    if not unknown:
        return
    frequent = [label for label, _ in unknown.most_common(_SHOWN)]
    listed = ", ".join(map(repr, frequent)) + (
        f" and {len(unknown) - len(frequent):,} more" if len(unknown) > _SHOWN else ""
    )
    where = part.replace("_", " ")
    if len(unknown) == len(counts):
        raise ValueError(
            f"{where}: no {what} is one of the training data: got {listed}, where that has "
            f"{', '.join(map(repr, labels.names[:20]))}; is it the right column?"
        )
    say(
        f"warning: {where}: {unknown.total():,} of {counts.total():,} {what}s are not in the training data ({listed}) "
        "and count as errors"
    )


def known_cross_entropy(scores: Tensor, targets: Tensor, weight: Tensor | None = None) -> tuple[Tensor, float]:
    """The sum of the cross entropy over known targets, and how many these are, or the sum of their weights.

    Args:
        scores: (N, K).
        targets: (N,) int64; those that are not from 0 to K - 1 have no loss.
        weight: (K,), of classes.
    """
    known = targets[(targets >= 0) & (targets < scores.shape[1])]
    ignored = targets.where(targets < scores.shape[1], NO_TARGET)
    nats = functional.cross_entropy(scores, ignored, weight=weight, ignore_index=NO_TARGET, reduction="sum")
    return nats, len(known) if weight is None else float(weight[known].sum())
