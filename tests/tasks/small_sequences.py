"""Data and options for tasks on whole sequences that train in a second."""

import json
import random
from pathlib import Path
from typing import Any

SMALL: dict[str, Any] = {"hidden": 8, "epochs": 3, "batch": 8, "lr": 0.02, "dropout": 0.1}
SMALL_TOKENS: dict[str, Any] = {"embedding_size": 6, "character_embedding": 4, "spelling_size": 6}


def small_tokens(**changes: Any) -> dict[str, Any]:
    """`SMALL_TOKENS` with changes, less those that the changes leave without an effect."""
    spelled = changes.get("unit", "word") == "word" and changes.get("spelling") != "none"
    unused = set() if spelled else {"character_embedding", "spelling_size"}
    if "embedding" in changes:
        unused.add("embedding_size")
    return {**{name: value for name, value in SMALL_TOKENS.items() if name not in unused}, **changes}


_WORDS = {"good": ["great", "lovely", "fine"], "bad": ["awful", "dull", "poor"]}


def labelled_texts(folder: Path, count: int = 80) -> Path:
    """Texts whose label one of their words tells."""
    draw = random.Random(0)
    lines = ["text,label"]
    for _ in range(count):
        label = draw.choice(["good", "bad"])
        before = " ".join(["it", "was", "a"][: draw.randrange(4)])
        lines.append(f'"{before} {draw.choice(_WORDS[label])}, film",{label}')
    path = folder / "texts.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def tagged_words(folder: Path, count: int = 80) -> Path:
    """Sentences in which "New" begins a place of two words, and "Ann" is a person."""
    draw = random.Random(0)
    parts = [["New B-LOC", "York I-LOC"], ["Ann B-PER"], ["goes O"], ["to O"], ["new O", "york O"]]
    sentences = [
        "\n".join(row for _ in range(draw.randrange(1, 5)) for row in draw.choice(parts)) for _ in range(count)
    ]
    path = folder / "words.conll"
    path.write_text("\n\n".join(sentences) + "\n")
    return path


def numeric_sequences(folder: Path, kind: str, count: int = 60) -> Path:
    """Sequences that go up or down; binary ones that alternate."""
    draw = random.Random(0)
    path = folder / f"{kind}.jsonl"
    with path.open("w") as file:
        for _ in range(count):
            length, slope = draw.randrange(2, 7), draw.choice([-1, 1])
            if kind == "binary":
                row: dict[str, Any] = {"steps": [[(length + step) % 2, 1] for step in range(length)]}
            else:
                steps = [[10 + slope * step + draw.gauss(0, 0.1), draw.gauss(0, 1)] for step in range(length)]
                label = "up" if slope > 0 else "down"
                row = {"steps": steps, "label": [label] * length if kind == "steps" else label}
            file.write(json.dumps(row) + "\n")
    return path


def reversed_words(folder: Path, count: int = 120) -> Path:
    """Pairs of some words and the same in the opposite order."""
    draw = random.Random(0)
    rows = []
    for _ in range(count):
        words = [draw.choice(["red", "blue", "green"]) for _ in range(draw.randrange(1, 4))]
        rows.append(f"{' '.join(words)}\t{' '.join(reversed(words))}\n")
    path = folder / "pairs.tsv"
    path.write_text("".join(rows))
    return path
