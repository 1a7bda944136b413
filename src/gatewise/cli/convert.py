"""``gatewise convert``: weights from one file format to another."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def convert(
    file: Path,
    *,
    to: str,
    out: Annotated[Path, Parameter(name=("--out", "-o"))],
    cell: Annotated[tuple[str, ...], Parameter(consume_multiple=True, negative=())] = (),
    gates: str | None = None,
    key: str | None = None,
) -> None:
    """Convert a file of weights: a checkpoint of torch, a safetensors file, an ONNX or a Keras model.

    The file is recognised by its content. Names and values of weights stay; for torch, the gates of cells that torch
    has are brought into its order. The written file records the cell of each recurrent layer. A model of ONNX or Keras
    holds the recurrent layers alone, side by side, each with an input of its own.

    Parameters
    ----------
    file
        File to read. Nothing in it is executed.
    to
        Format to write: torch, safetensors, onnx or keras (a .keras archive).
    out
        File to write.
    cell
        Cell of weights whose file does not record it, as of a bare state dict (it cannot be inferred from shapes): a
        name (gatewise explain --list) or FILE.py:NAME; for one of several layers LAYER=CELL.
    gates
        Order in which these weights stack the gates of that cell, with commas (i,f,g,o); by default the cell's own.
    key
        State dict in the checkpoint, if it has several; the one node of an ONNX model, or the one layer
        of a Keras model, whose weights are wanted.
    """
    from gatewise.cells import lookup
    from gatewise.equations import Cell
    from gatewise.equations.load import is_file_reference, load_cell
    from gatewise.interchange.conversion import convert as convert_file

    cells: dict[str | None, Cell] = {}
    for option in cell:
        layer, equals, name = option.rpartition("=")
        cells[layer if equals else None] = load_cell(name) if is_file_reference(name) else lookup(name)
    if gates is not None and not cells:
        raise ValueError("--gates has no effect: it is the order of the gates of --cell")
    order = None if gates is None else [gate.strip() for gate in gates.split(",")]
    converted = convert_file(file, out, to, cells=cells, gates=order, key=key)
    for path, identity in converted.layers.items():
        of_gates = f", gates {' '.join(identity['gates'])}" if identity["gates"] else ""
        print(f"{path or '(one layer)'}: {identity['cell'] or 'a cell without a name'}{of_gates}")
    if converted.omitted:
        print(f"not of a recurrent layer, so not in a file of {to}: {', '.join(converted.omitted)}")
    print(f"written: {out}")
