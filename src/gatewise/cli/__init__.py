"""The command ``gatewise``: its verbs, and how a mistake is told.

Each verb is a plain function in a file of its own, which imports what is heavy when it is called.
"""

import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn, get_args

from cyclopts import App, CycloptsError

import gatewise
from gatewise.extras import MissingExtraError
from gatewise.progress import clear


def _epilogue(*examples: str) -> str:
    return "\n".join(["Try:", *(f"  {example}" for example in examples)])


def _refuse_fractions(app: App, commands: tuple[str, ...], arguments: Iterable[Any]) -> None:
    """Refuse a fraction where a whole number is expected, which the parser would round."""
    for argument in arguments:
        if int in (argument.hint, *get_args(argument.hint)):
            for token in argument.tokens:
                if "." in token.value:
                    raise ValueError(f"{argument.name}: expected a whole number, got {token.value}")


def build_app() -> App:
    """The parser of the command line, with every verb."""
    from gatewise.cli.evaluate import evaluate
    from gatewise.cli.explain import explain
    from gatewise.cli.inspect import inspect
    from gatewise.cli.predict import predict

    app = App(
        name="gatewise",
        help="Recurrent networks for PyTorch: cells as published, trained, scored and explained.",
        help_epilogue=_epilogue("gatewise train lm --max-minutes 2 --out runs/first", "gatewise explain lstm"),
        help_format="plaintext",
        config=_refuse_fractions,
        version=gatewise.__version__,
        suppress_keyboard_interrupt=False,
        result_action="return_none",
    )
    # The options of all tasks take a tenth of a second to load, so they are when it is used.
    app.command("gatewise.cli.train:train", name="train", help="Train a model and leave a run folder.")
    app.command(
        evaluate, help_epilogue=_epilogue("gatewise evaluate runs/first", "gatewise evaluate runs/first --json")
    )
    app.command(
        predict,
        help_epilogue=_epilogue(
            'gatewise predict runs/first --prompt "The " --length 300',
            'gatewise predict runs/first --prompt "The " --next 5',
        ),
    )
    app.command(
        inspect,
        help_epilogue=_epilogue(
            'gatewise inspect runs/first --text "The class of the object is"',
            "gatewise inspect runs/first --data book.txt --out report.html",
        ),
    )
    app.command(explain, help_epilogue=_epilogue("gatewise explain gru", "gatewise explain bptt --steps 4"))
    return app


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line, and leave with its exit code; see `run_app`.

    Args:
        arguments: the words after ``gatewise``; those of the process unless given.
    """
    run_app(build_app(), arguments)


def run_app(app: App, arguments: Sequence[str] | None) -> NoReturn:
    """Run a command, and leave with its exit code.

    A user's mistake (``ValueError``, ``TypeError``, ``OSError``, an extra that is not installed, memory that does not
    suffice, or words that do not parse) is told in one line with exit code 2; with ``GATEWISE_DEBUG=1`` it keeps its
    traceback. Any other exception is a defect of ours and keeps it always.

    Args:
        app: the parser of the command line.
        arguments: its words; those of the process unless given.

    Raises:
        SystemExit: always. 0 is success, 2 a user's mistake, 130 Ctrl-C, 141 a closed pipe.
    """
    try:
        try:
            app(arguments, exit_on_error=False, print_error=False)
            sys.stdout.flush()
        finally:
            clear()  # a traceback holds the loops whose bars these are
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # The reader has gone, as in `gatewise … | head`: what is still buffered has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except (CycloptsError, ValueError, TypeError, OSError, MissingExtraError, MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not _is_out_of_memory(error):
            raise
        if os.environ.get("GATEWISE_DEBUG") == "1":
            raise
        print(f"{app.name[0]}: error: {_one_line(error)}", file=sys.stderr)
        sys.exit(2)
    sys.exit(0)


def _is_out_of_memory(error: Exception) -> bool:
    """Whether memory did not suffice, as torch says it: for the GPU with a class of its own."""
    return type(error).__name__ == "OutOfMemoryError" or "can't allocate memory" in str(error)


def _one_line(error: Exception) -> str:
    if isinstance(error, MemoryError) or _is_out_of_memory(error):
        first = (str(error) or "no more memory").splitlines()[0]
        return f"memory does not suffice; try a smaller batch or model ({' '.join(first.split())})"
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        text = f"{error.filename}: {error.strerror}"
    else:
        text = str(error) or type(error).__name__
    return " ".join(text.split())
