"""Series, and a network of them that trains in a second."""

import io
import math
import random
import sys
from pathlib import Path
from typing import Any

SMALL: dict[str, Any] = {"hidden": 8, "epochs": 2, "batch": 8, "lr": 0.01, "horizon": 4, "window": 12}


def monthly(count: int = 96, *, scale: float = 1.0, seed: int = 0) -> list[tuple[str, float]]:
    """A year that comes again, a trend, some noise."""
    draw = random.Random(seed)
    return [
        (
            f"{2000 + month // 12}-{month % 12 + 1:02d}",
            round(scale * (20 + month / 10 + 5 * math.sin(math.pi * month / 6) + draw.gauss(0, 0.5)), 3),
        )
        for month in range(count)
    ]


def one_series(folder: Path, count: int = 96, **changes: float) -> Path:
    """A table with one series; `changes` are values by row, from 0: ``v90=7``."""
    rows = monthly(count)
    for name, value in changes.items():
        position = int(name.removeprefix("v"))
        rows[position] = (rows[position][0], value)
    path = folder / "series.csv"
    path.write_text("month,sales\n" + "".join(f"{time},{'' if math.isnan(value) else value}\n" for time, value in rows))
    return path


def many_series(folder: Path) -> Path:
    """A long table: two series of other lengths and sizes, with a covariate that moves them and is known ahead."""
    draw = random.Random(1)
    path = folder / "many.csv"
    lines = ["day,shop,sales,offer"]
    for shop, count, size in (("north", 100, 1.0), ("south", 70, 50.0)):
        for day in range(count + 4):
            offer = int(draw.random() < 0.3)
            value = size * (10 + math.sin(2 * math.pi * day / 7) + 4 * offer + draw.gauss(0, 0.1))
            text = f"{value:.4f}" if day < count else ""
            lines.append(f"2021-{1 + day // 28:02d}-{1 + day % 28:02d},{shop},{text},{offer}")
    path.write_text("\n".join(lines) + "\n")
    return path


def standard_input(monkeypatch: Any, content: str | bytes) -> None:
    """What the standard input has."""
    data = content.encode() if isinstance(content, str) else content
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
