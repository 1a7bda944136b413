"""Programs of a model, each in a file of its own."""

from collections.abc import Callable, Sequence
from pathlib import Path

from gatewise.tasks.export import ExportPlan
from gatewise.tasks.exports.program import Program
from gatewise.tasks.exports.programs import programs_of
from gatewise.tasks.trained import Trained


def plan_programs(
    trained: Trained,
    out: Path,
    *,
    streaming: bool,
    imports: str,
    load: Callable[[str], str],
    write: Callable[[Program, Path], list[str]],
) -> ExportPlan:
    """The files of a run's programs.

    Args:
        trained: the run.
        out: the file; of several programs each has its part before the ending.
        streaming: see `programs_of`.
        imports: the beginning of the code that loads them.
        load: the expression that loads a file of this name.
        write: writes a program to a file, and returns lines for people.

    Raises:
        ValueError: for a model that has no programs.
    """
    programs = programs_of(trained, streaming=streaming)
    files = tuple(out.with_name(f"{out.stem}.{one.part}{out.suffix}") if one.part else out for one in programs)
    loading = [imports]
    for program, file in zip(programs, files, strict=True):
        loading.append(f"{program.part or 'model'} = {load(file.name)}")
        loading += [f"# {line}" for line in program.description]

    def write_to(paths: Sequence[Path]) -> list[str]:
        lines: list[str] = []
        for program, path in zip(programs, paths, strict=True):
            lines += [f"{program.part}:"] if program.part else []
            lines += write(program, path)
        return lines

    return ExportPlan(files, "\n".join(loading), write_to)
