"""A program of `torch.export`, which runs wherever gatewise is installed, without the code of the model."""

import io
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim

from gatewise.models.classifier import Classifier
from gatewise.models.language_model import LanguageModel
from gatewise.models.tagger import Tagger
from gatewise.models.token_embedding import TokenEmbedding
from gatewise.tasks.export import ExportFormat
from gatewise.tasks.trained import Trained
from gatewise.writing import atomic_write

_TOLERANCE = 1e-5
_SIZES = ((7, 3), (12, 2))  # steps and rows: those that are exported, and others


class _Scores(nn.Module):
    """Scores of sequences with one tensor of inputs."""

    def __init__(self, model: Classifier | Tagger) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        return self.model((inputs,), lengths)


class _NextToken(nn.Module):
    """Scores of next tokens, from a zero state."""

    def __init__(self, model: LanguageModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: Tensor) -> Tensor:
        return self.model(tokens)[0]


def _write(trained: Trained, out: Path) -> list[str]:
    module, arguments = _of(trained)
    steps, rows = Dim("steps", min=1), Dim("rows", min=1)
    shapes: tuple[Any, ...] = ({0: steps, 1: rows},)
    if len(arguments(*_SIZES[0])) == 2:
        shapes = (*shapes, {0: rows})
    with torch.no_grad():
        try:
            program = torch.export.export(module, arguments(*_SIZES[0]), dynamic_shapes=shapes)
        except Exception as error:  # torch has no common class for what it cannot trace
            reason = str(error).partition("\n")[0]
            raise ValueError(f"--to pt2: torch.export cannot trace this model for any sizes ({reason})") from error
        content = io.BytesIO()
        torch.export.save(program, content)
        content.seek(0)
        read: Any = torch.export.load(content).module()
        worst = 0.0
        for sizes in _SIZES:
            given = arguments(*sizes)
            expected, found = module(*given), read(*given)
            error = float(((found - expected).abs() / expected.abs().clamp(min=1)).max())
            if found.shape != expected.shape or not error <= _TOLERANCE:
                raise ValueError(
                    f"{out}: the exported program differs from the model by {error:.1e} on random input of "
                    f"{sizes[0]} steps and {sizes[1]} rows; nothing was written"
                )
            worst = max(worst, error)
    with atomic_write(out) as file:
        file.write(content.getbuffer())
    return [f"equal to the model on random input: largest error {worst:.1e}, relative above 1"]


def _of(trained: Trained) -> tuple[nn.Module, Any]:
    """The module to export, and a function that draws its arguments for numbers of steps and rows.

    Raises:
        ValueError: for a model that is not one call of tensors.
    """
    model = trained.model
    draw = torch.Generator().manual_seed(0)

    def tokens(size: int, steps: int, rows: int) -> Tensor:
        return torch.randint(size, (steps, rows), generator=draw)

    def lengths(steps: int, rows: int) -> Tensor:
        return torch.randint(1, steps + 1, (rows,), generator=draw)

    if isinstance(model, LanguageModel):
        size = model.embedding.num_embeddings
        return _NextToken(model), lambda steps, rows: (tokens(size, steps, rows),)
    if isinstance(model, (Classifier, Tagger)):
        embedding = model.steps
        if isinstance(embedding, TokenEmbedding) and embedding.spelling is None:
            size = embedding.embedding.num_embeddings
            return _Scores(model), lambda steps, rows: (tokens(size, steps, rows), lengths(steps, rows))
        if isinstance(embedding, nn.Identity):
            width = model.encoder.recurrent.input_size
            return _Scores(model), lambda steps, rows: (
                torch.randn(steps, rows, width, generator=draw),
                lengths(steps, rows),
            )
        raise ValueError(
            "--to pt2: this model reads more than one tensor for each sequence (spellings, features or categories), "
            "which is not supported yet"
        )
    raise ValueError(
        f"--to pt2: a model of the task {trained.name} is run in several calls (encoder, then steps), not as one "
        "program; export language models, classifiers, taggers or numeric models"
    )


def _loading(name: str) -> str:
    return (
        "import torch\n\n"
        "import gatewise.kernels.operators  # the operators of recurrent layers\n\n"
        f"model = torch.export.load({name!r}).module()\n"
        "# inputs (steps, rows), and except for a language model lengths (rows,) -> scores"
    )


EXPORT = ExportFormat(_write, _loading)
