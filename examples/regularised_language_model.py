"""A word-level language model on a small text, with the regularisation of AWD-LSTM and without, at equal steps.

    python examples/regularised_language_model.py --data input.txt
    python examples/regularised_language_model.py --data input.txt --seeds 0 --epochs 3      # a look at it

The text is divided by lines: 80 % to learn from, 10 % that choose the epoch whose weights are kept, 10 % for the score.
AWD-LSTM (Merity et al. 2018, arXiv:1708.02182) drops recurrent weights (DropConnect), units of embeddings and outputs,
ties the embedding to the read-out (Press & Wolf 2017, arXiv:1608.05859), and averages the weights of many steps. Both
kinds of runs have the same text, vocabulary, widths, optimiser, schedule and number of steps.
"""

import argparse
import csv
import lzma
import math
import statistics
import tempfile
from pathlib import Path
from typing import Any

import torch

import gatewise

SHARED: dict[str, Any] = {
    "unit": "word",
    "vocabulary_size": 6000,
    "cell": "lstm",
    "hidden": 160,
    "embedding": 160,
    "batch": 20,
    "window": 35,
    "lr": 4e-3,
    "schedule": "cosine",
}
KINDS: dict[str, dict[str, Any]] = {
    "plain": {"dropout": 0.0},
    "regularised": {
        "dropout": 0.3,
        "variational": 0.1,
        "weight_drop": 0.2,
        "tie": True,
        "average": "ema",
        "average_decay": 0.995,
    },
}


def divide(path: Path, to: Path) -> dict[str, Any]:
    """The three parts of a text as files, as options of training."""
    with lzma.open(path, "rt", encoding="utf-8") if path.suffix == ".xz" else path.open(encoding="utf-8") as file:
        lines = file.read().splitlines(keepends=True)
    ends = [0, len(lines) * 8 // 10, len(lines) * 9 // 10, len(lines)]
    parts: dict[str, Any] = {}
    for name, begin, end in zip(("data", "valid", "test"), ends, ends[1:], strict=False):
        parts[name] = to / f"{name}.txt"
        parts[name].write_text("".join(lines[begin:end]), encoding="utf-8")
    return parts


def curve(run: Path) -> list[float]:
    """The perplexity on the held-out part after each epoch."""
    with (run / "metrics.csv").open(encoding="utf-8", newline="") as file:
        return [math.exp(float(row["held_out_loss"])) for row in csv.DictReader(file) if row["held_out_loss"]]


def main() -> None:
    """Train every kind with every seed, and print a row for each and the means."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a text, also as .xz")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path, help="folder for the runs; by default they are deleted")
    options = parser.parse_args()
    print("| kind | seed | best epoch | held out, best | held out, last | test |\n|---|---|---|---|---|---|")
    scores: dict[str, list[float]] = {kind: [] for kind in KINDS}
    with tempfile.TemporaryDirectory() as folder:
        parts, out = divide(options.data, Path(folder)), options.out or Path(folder)
        for seed in options.seeds:
            for kind, regularisation in KINDS.items():
                run = out / f"{kind}-{seed}"
                trained = gatewise.train(
                    "lm",
                    **SHARED,
                    **regularisation,
                    **parts,
                    epochs=options.epochs,
                    patience=options.epochs,
                    threads=options.threads,
                    seed=seed,
                    out=run,
                )
                held_out, test = curve(run), trained.final_scores()["test"]["perplexity"]
                scores[kind].append(test)
                best = min(held_out)
                print(
                    f"| {kind} | {seed} | {1 + held_out.index(best)} | {best:.1f} | {held_out[-1]:.1f} | {test:.1f} |",
                    flush=True,
                )
    for kind, found in scores.items():
        spread = f" ± {statistics.stdev(found):.1f}" if len(found) > 1 else ""
        print(f"{kind}: perplexity {statistics.fmean(found):.1f}{spread} on the test part")


if __name__ == "__main__":
    main()
