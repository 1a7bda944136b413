"""The command ``gatewise``: its subcommands, and how errors are reported.

Each subcommand is a plain function in its own file, which imports heavy modules when it is called.
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


def _check_values(app: App, commands: tuple[str, ...], arguments: Iterable[Any]) -> None:
    """Reject what the parser would accept: fractions for integers, which it rounds, and lists without a value."""
    for argument in arguments:
        if any(token.implicit_value == () for token in argument.tokens):
            raise ValueError(f"{argument.name}: expected at least one value, got none; give one, or omit the option")
        if int in (argument.hint, *get_args(argument.hint)):
            for token in argument.tokens:
                if "." in token.value:
                    raise ValueError(f"{argument.name}: expected a whole number, got {token.value}")


def build_app() -> App:
    """The parser of the command line, with all subcommands."""
    from gatewise.cli.convert import convert
    from gatewise.cli.evaluate import evaluate
    from gatewise.cli.explain import explain
    from gatewise.cli.export import export
    from gatewise.cli.inspect import inspect
    from gatewise.cli.predict import predict
    from gatewise.cli.study import study

    app = App(
        name="gatewise",
        help="Recurrent networks for PyTorch: cells as published, trained, scored and explained.",
        help_epilogue=_epilogue("gatewise train lm --max-minutes 2 --out runs/first", "gatewise explain lstm"),
        help_format="plaintext",
        config=_check_values,
        version=gatewise.__version__,
        suppress_keyboard_interrupt=False,
        result_action="return_none",
    )
    # Loaded when used: the options of all tasks take a tenth of a second to import.
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
    app.command(export, help_epilogue=_epilogue("gatewise export runs/first --to pt2 -o model.pt2"))
    app.command(
        convert,
        help_epilogue=_epilogue(
            "gatewise convert model.pt --to safetensors -o model.safetensors --cell lstm",
            "gatewise convert model.safetensors --to torch -o model.pt",
        ),
    )
    app.command(explain, help_epilogue=_epilogue("gatewise explain gru", "gatewise explain bptt --steps 4"))
    app.command(study, help_epilogue=_epilogue("gatewise study list", "gatewise study C1", "gatewise study all"))
    return app


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit with its exit code; see `run_app`.

    Args:
        arguments: the arguments after ``gatewise``; by default those of the process.
    """
    run_app(build_app(), arguments)


def run_app(app: App, arguments: Sequence[str] | None) -> NoReturn:
    """Run a command and exit with its exit code.

    A usage error (``ValueError``, ``TypeError``, ``OSError``, an extra that is not installed, insufficient memory, or
    arguments that do not parse) is reported in one line with exit code 2; with ``GATEWISE_DEBUG=1`` it keeps its
    traceback. Any other exception is a bug and always keeps it.

    Args:
        app: the parser of the command line.
        arguments: its arguments; by default those of the process.

    Raises:
        SystemExit: always: 0 for success, 2 for a usage error, 130 for Ctrl-C, 141 for a closed pipe.
    """
    try:
        try:
            app(arguments, exit_on_error=False, print_error=False)
            sys.stdout.flush()
        finally:
            clear()  # a traceback keeps the loops, and so their progress bars, alive
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # The reader has closed the pipe, as in `gatewise … | head`: discard what is still buffered.
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
    """Whether torch reports insufficient memory; for the GPU it has its own class."""
    return type(error).__name__ == "OutOfMemoryError" or "can't allocate memory" in str(error)


def _one_line(error: Exception) -> str:
    if isinstance(error, MemoryError) or _is_out_of_memory(error):
        first = (str(error) or "out of memory").splitlines()[0]
        return f"out of memory; try a smaller batch or model ({' '.join(first.split())})"
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        text = f"{error.filename}: {error.strerror}"
    else:
        text = str(error) or type(error).__name__
    return " ".join(text.split())
