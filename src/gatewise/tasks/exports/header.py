"""What files that hold more than weights say of their run, as texts."""

import json
from typing import Any

import gatewise
from gatewise.tasks.trained import Trained


def header_of(trained: Trained) -> dict[str, str]:
    """The version, the task, the configuration, the vocabulary, and as JSON labels, normalisation and the like."""
    folder = trained.folder
    vocabulary = folder.vocabulary.read_text(encoding="utf-8")
    return {
        "gatewise": gatewise.__version__,
        "task": trained.name,
        "config": folder.config.read_text(encoding="utf-8"),
        "vocabulary": vocabulary,
        **{
            name: json.dumps(value, ensure_ascii=False)
            for name, value in {**_details(json.loads(vocabulary)), **trained.export_details}.items()
        },
    }


def _details(parts: dict[str, Any]) -> dict[str, Any]:
    """The names of the classes of the scores, in order, and means and deviations of features."""
    found: dict[str, Any] = {}
    for name, part in parts.items():
        unit = part.get("unit") if isinstance(part, dict) else None
        if name in ("labels", "tags") and unit in ("labels", "tags"):
            found["labels"] = part["names"]
        if unit == "scaling":
            found["normalisation" if name == "scaling" else f"{name}_normalisation"] = {
                key: part[key] for key in ("means", "deviations", "missing")
            }
    return found
