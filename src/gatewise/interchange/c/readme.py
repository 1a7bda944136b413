"""The page of a folder, and what programs read of it."""

import json
from typing import Any

import gatewise
from gatewise.interchange.c.description import Model

_NUMBERS = {"float": "float32", "double": "float64"}


def facts_of(model: Model, name: str) -> dict[str, Any]:
    """What ``model.json`` says of a model."""
    return {
        "gatewise": gatewise.__version__,
        "name": name,
        "number": _NUMBERS[model.number],
        "precision": model.precision,
        "values": model.value_count,
        "further": model.further,
        "numbers": model.numbers,
        "tokens": len(model.embeddings),
        "outputs": model.outputs,
        "output_per_step": model.pool == "none",
        "answers": model.answers,
        "whole_sequences": model.whole,
        "reads_from_end": model.reads_from_end,
        "masks": model.masks,
        "state": [
            {
                "cell": layer.cell.name,
                "states": list(layer.cell.states),
                "directions": layer.directions,
                "hidden_size": layer.hidden_size,
                "widths": layer.state_widths,
            }
            for layer in model.layers
        ],
        **model.details,
    }


def as_json(value: Any) -> str:
    """A value as the text of a file."""
    return json.dumps(value, ensure_ascii=False, indent=1) + "\n"


def readme_of(model: Model, name: str, files: list[str], further: str) -> str:
    """The page ``README.md``.

    Args:
        model: the model.
        name: what names in C begin with.
        files: names of files that only this model has.
        further: how to use these.
    """
    reads = [
        f"{count} {what}"
        for count, what in (
            (model.value_count, "values in units of the data (NaN: missing)"),
            (model.numbers, "numbers"),
            (len(model.embeddings), "tokens"),
        )
        if count
    ]
    per = "step" if model.pool == "none" else "sequence"
    layers = ", ".join(
        f"{layer.cell.name} of {layer.hidden_size}{' in both directions' if layer.directions == 2 else ''}"
        for layer in model.layers
    )
    streams = (
        "Every call is of whole sequences."
        if model.whole
        else "A layer reads from the end: a call has at most `chunk` steps, and that direction begins anew in each."
        if model.reads_from_end
        else "Calls continue where the one before has ended, until the instance is reset."
    )
    precision = (
        "Numbers are float32; its layers multiply 8-bit integers, which their weights in `weights.bin` are."
        if model.precision == "int8"
        else f"Numbers are {_NUMBERS[model.number]}."
    )
    rows = [
        (f"`{name}.h`", "what a program calls (C99)"),
        (f"`{name}.cpp`", "all of the code in one file (C++20)"),
        ("`source/`", "the same in its pieces: the engine, the runtime, `cells.cpp` with what is of this model alone"),
        ("`weights.bin`", "the weights"),
        (f"`{name}.json`", "sizes, names and the like for programs"),
        ("`main.c`", "a program that reads a stream and prints answers"),
        ("`CMakeLists.txt`", "compiles the library and the program"),
        *((f"`{one}`", "see below") for one in files),
    ]
    table = "\n".join(f"| {path} | {what} |" for path, what in rows)
    return f"""# {name}

A recurrent network, exported by gatewise {gatewise.__version__}: it runs without Python and torch. Layers: {layers}.

Of each step it reads {" and ".join(reads)}; of each {per} it computes {model.outputs} numbers\
{", the scores of classes" if model.answers else ""}. {precision} {streams}

| file | what it is |
|---|---|
{table}

## Compile and run

    cmake -S . -B build && cmake --build build
    build/main weights.bin < steps.txt

or add `{name}.cpp` to a program of your own. Compiled alone it has the instruction set of the compiler's options:

    c++ -std=c++20 -O2 -march=native -ffp-contract=fast -c {name}.cpp
    cc -std=c99 -c main.c
    c++ {name}.o main.o -o main

`{name}.h` describes every function. In Python: `gatewise.runtime.load("FOLDER")`, once the library is compiled.
{further}"""
