"""Layers of ours inside other libraries, beside the libraries' own ways: the examples of `examples/other_libraries`.

Each library needs to be installed; outputs and gradients of both ways are compared before they are timed. Prints a
table in Markdown. Run it on an idle machine with ``python -m benchmarks.other_libraries [NAME …] [--threads N]``.
"""

import argparse
import importlib.util
import sys
import warnings
from pathlib import Path
from types import ModuleType

import torch

from benchmarks.functions import beside
from benchmarks.machine import describe, load_average, load_warning

FOLDER = Path(__file__).parents[1] / "examples" / "other_libraries"
EXAMPLES = tuple(sorted(path.stem for path in FOLDER.glob("*.py")))


def opened(name: str) -> ModuleType | str:
    """The example of a name, or why it cannot be imported."""
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # as `import` does; what is pickled needs it
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # those of the libraries
            spec.loader.exec_module(module)
    except ModuleNotFoundError as error:
        del sys.modules[name]
        return f"{error.name} is not installed"
    return module


def rows_of(name: str, pairs: int) -> list[str]:
    """The rows of the table about an example.

    Raises:
        AssertionError: when both ways do not compute the same.
    """
    example = opened(name)
    if isinstance(example, str):
        return [f"| `{name}` | not measured: {example} | | | |"]
    found: list[str] = []
    for title, (theirs, ours) in example.cases().items():
        torch.testing.assert_close(ours(), theirs(), rtol=1e-4, atol=1e-5)
        times = beside(theirs, ours, pairs)
        ratio = f"{times.ratio.median:.1f}× ({times.ratio.low:.1f}–{times.ratio.high:.1f})"
        found.append(
            f"| `{name}` | {title} | {1e3 * times.first.median:.1f} | {1e3 * times.second.median:.1f} | {ratio} |"
        )
    return found


def main(arguments: list[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.other_libraries")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"examples, by default all: {', '.join(EXAMPLES)}")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="threads of torch and gatewise")
    parser.add_argument("--pairs", type=int, default=10, help="rounds in which both ways take their turn")
    options = parser.parse_args(arguments)
    if unknown := sorted(set(options.names) - set(EXAMPLES)):
        parser.error(f"unknown example {unknown[0]!r}; there are {', '.join(EXAMPLES)}")
    warnings.simplefilter("ignore")  # those of the libraries
    torch.set_num_threads(options.threads)
    machine = describe()
    print(
        f"{machine['processor']}, {machine['threads']} of {machine['processors']} processors, torch {machine['torch']};"
        f" medians of {options.pairs} interleaved rounds, of the ratio with quartiles"
    )
    if warning := load_warning(load_average()):
        print(f"WARNING: {warning}")
    print("\n| example | what | its own way, ms | gatewise, ms | ratio |\n|---|---|---|---|---|")
    for name in options.names or EXAMPLES:
        print("\n".join(rows_of(name, options.pairs)), flush=True)


if __name__ == "__main__":
    main()
