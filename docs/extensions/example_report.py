"""A report for the page on reading reports, generated while the documentation is built."""

from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import torch

import gatewise
from gatewise.data.manual import manual_text

if TYPE_CHECKING:
    from sphinx.application import Sphinx

TEXT = 60_000
READ = 300


def make(app: "Sphinx") -> None:
    """Train a character model of three layers for some seconds on the manual of Python, and watch it read."""
    target = Path(app.outdir) / "_static" / "report.html"
    if target.exists() or app.builder.format != "html":
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    with TemporaryDirectory() as folder, redirect_stderr(StringIO()):
        text = Path(folder, "text.txt")
        text.write_text(manual_text()[:TEXT])
        options = {"layers": 3, "hidden": 64, "epochs": 6, "batch": 8, "window": 50, "lr": 0.01}
        model = gatewise.train("lm", data=text, out=Path(folder, "run"), **options)
        model.inspect(text.read_text()[-READ:], out=target)


def setup(app: "Sphinx") -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("builder-inited", make)
    return {"parallel_read_safe": True}
