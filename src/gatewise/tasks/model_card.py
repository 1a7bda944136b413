"""The model card of a run: what the model is, how well it does, and how it is loaded."""

from collections.abc import Iterator, Mapping
from typing import Any

from gatewise.equations import Cell
from gatewise.explanations.cell_page import add_equations
from gatewise.explanations.page import Page
from gatewise.formatting import format_number
from gatewise.layers import Recurrent
from gatewise.tasks.run_folder import RunFolder
from gatewise.writing import atomic_write

_FENCE = "````"  # a configuration may hold the text of a cell, with code in its docstring


def model_card(folder: RunFolder, model: Any, loading: str) -> str:
    """The card of a run's model, in Markdown.

    Args:
        folder: the run folder.
        model: its model.
        loading: Python code that loads it.

    Raises:
        ValueError, OSError: when the folder is corrupt.
    """
    description = folder.read_description()
    cells = list(dict.fromkeys(module.cell for module in model.modules() if isinstance(module, Recurrent)))
    size = sum(parameter.numel() for parameter in model.parameters())
    lines = [
        f"# A model of the task {description['task']}",
        "",
        f"{', '.join(cell.name for cell in cells)}; {size:,} parameters. Trained by gatewise "
        f"{description.get('gatewise', '')} with torch {description.get('torch', '')}, "
        f"{description.get('created', '')}.",
        "",
        "## Use",
        "",
        *_block("python", loading),
        "## Scores",
        "",
        *_scores(folder),
        "## Data",
        "",
        str(description.get("source", "unknown")),
        "",
        *(f"- SHA-256 of {name}: `{value}`" for name, value in description["sha256"].items()),
        "",
        "## Configuration",
        "",
        *_block("toml", folder.config.read_text(encoding="utf-8").rstrip()),
    ]
    for cell in cells:
        lines += [f"## Equations of {cell.name}", "", *_block("text", _equations(cell))]
    return "\n".join(lines).rstrip() + "\n"


def write_run_card(folder: RunFolder, model: Any) -> None:
    """Write the card of a run into its folder, atomically."""
    task = folder.read_description()["task"]
    path = str(folder.path)
    loading = f"import gatewise\n\nmodel = gatewise.load({path!r}, {task!r})"
    with atomic_write(folder.card) as file:
        file.write(model_card(folder, model, loading).encode())


def _block(language: str, text: str) -> list[str]:
    return [f"{_FENCE}{language}", text, _FENCE, ""]


def _scores(folder: RunFolder) -> Iterator[str]:
    if not folder.scores.exists():
        yield from ("Training has not ended; there are no final scores.", "")
        return
    for part, scores in folder.read_scores()["scores"].items():
        yield from (f"| {part.replace('_', ' ')} | |", "|---|---:|")
        for name, value in scores.items():
            if not isinstance(value, Mapping):
                yield f"| {name.replace('_', ' ')} | {format_number(value)} |"
        yield ""


def _equations(cell: Cell) -> str:
    page = Page(latex=False)
    add_equations(page, cell, read_out=False)
    return str(page).strip()
