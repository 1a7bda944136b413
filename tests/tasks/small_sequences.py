"""Data and options for tasks on whole sequences that train in a second."""

import json
import random
from pathlib import Path
from typing import Any

SMALL: dict[str, Any] = {"hidden": 8, "epochs": 3, "batch": 8, "lr": 0.02, "dropout": 0.1}
SMALL_TOKENS: dict[str, Any] = {"embedding_size": 6, "character_embedding": 4, "spelling_size": 6}

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
