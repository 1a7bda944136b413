"""Exports models as C, compiles them under each sanitizer, and drives them through their C interface.

``python csrc/tests/sanitize_exported.py FOLDER``, with the package and the root of the tree on PYTHONPATH.
"""

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch

import gatewise
from csrc.tests.build import ENGINE, compiler, runnable
from csrc.tests.sanitize import ENVIRONMENT, OPTIONS, SANITIZERS
from gatewise.compiler.flags import COMMON
from gatewise.interchange.c.description import Forecast, Model, Scaled
from gatewise.interchange.c.exporting import write_folder
from gatewise.interchange.c.layers import layer_parts, model_of
from gatewise.interchange.c.quantising import in_precision
from gatewise.interchange.c.sources import instruction_options
from tests.interchange.c.exported import both_directions, narrow, streamed


def models() -> dict[str, Model]:
    """Models that have every part between them: by the arguments of their drivers."""
    draw = np.random.default_rng(0)

    def drawn(*shape: int) -> np.ndarray:
        return draw.standard_normal(shape).astype(np.float32)

    torch.manual_seed(0)
    return {
        "streamed": model_of(streamed()),
        "both_directions": model_of(both_directions()),
        "integers": in_precision(model_of(narrow()), "int8"),
        "tagger": Model(
            tuple(layer_parts(gatewise.BiLSTM(5, 6))),
            embeddings=(drawn(7, 3), drawn(2, 2)),
            whole=True,
            read_out=(drawn(9, 12), drawn(9)),
            transitions=drawn(10, 10),
            answers=True,
        ),
        "classifier": Model(
            tuple(layer_parts(gatewise.GRU(6, 7, num_layers=2))),
            values=(Scaled(1.0, 2.0, 0), Scaled(0.0, 0.5), Scaled(-3.0, 1.0, 1)),
            numbers=1,
            whole=True,
            pool="attention",
            attention=(drawn(7, 7), drawn(7), drawn(1, 7)),
            read_out=(drawn(4, 7), drawn(4)),
            answers=True,
        ),
        "forecaster": Model(
            tuple(layer_parts(gatewise.LSTM(3 + 2 + 1 + 2, 6))),
            numbers=2,
            values=(Scaled(0.5, 2.0),),
            embeddings=(drawn(2, 2),),
            whole=True,
            pool="last",
            read_out=(drawn(3 * 3, 6), drawn(3 * 3)),
            forecast=Forecast(
                "quantile",
                *(7, 4, 3),
                *(3, 3),
                (0.1, 0.5, 0.9),
                (-1.3, 0.0, 1.3),
                drawn(3, 3),
                (0.1,) * 9,
                (drawn(6, 6), drawn(6), drawn(6, 3), drawn(3, 6)),
            ),
        ),
        "paths": Model(
            tuple(layer_parts(gatewise.GRU(3 + 2 + 1 + 2, 6, num_layers=2))),
            numbers=2,
            values=(Scaled(0.5, 2.0),),
            embeddings=(drawn(2, 2),),
            whole=True,
            pool="last",
            read_out=(drawn(2, 6), drawn(2)),
            forecast=Forecast(
                "gaussian",
                *(7, 4, 3),
                *(2, 1),
                (0.1, 0.5, 0.9),
                (-1.3, 0.0, 1.3),
                drawn(3, 1),
                (0.1,) * 9,
                (drawn(6, 6), drawn(6), drawn(6, 3), drawn(2, 6)),
                20,
                drawn(11, 3),
            ),
        ),
        "threads": model_of(gatewise.BiLSTM(4, 64)),
        "threads_of_integers": in_precision(model_of(gatewise.BiLSTM(4, 64)), "int8"),
    }


def main(folder: Path) -> None:
    """Build and run everything; the first that fails ends it."""
    command = compiler()
    c_compiler = os.environ.get("CC") or "cc"
    if command is None or shutil.which(c_compiler) is None:
        sys.exit("there is no compiler: set CXX and CC to some")
    widest = instruction_options(runnable()[0])
    jobs: list[tuple[str, str, Path]] = []
    for label, model in models().items():
        shutil.rmtree(folder / label, ignore_errors=True)
        write_folder(model, folder / label)
        jobs += [(label, "thread" if label.startswith("threads") else "address", folder / label)]

    def built(job: tuple[str, str, Path]) -> Path:
        _, sanitizer, path = job
        options = [*OPTIONS, "-Wno-missing-field-initializers", *SANITIZERS[sanitizer]]
        code, driver, program = (str(path / name) for name in ("model.o", "driver.o", "driver"))
        subprocess.run([*command, *COMMON, *options, *widest, "-c", str(path / "model.cpp"), "-o", code], check=True)
        c_options = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", *options, f"-I{path}"]
        source = str(ENGINE / "tests" / "exported.c")
        subprocess.run([c_compiler, *c_options, "-c", source, "-o", driver], check=True)
        subprocess.run([*command, *SANITIZERS[sanitizer], code, driver, "-o", program, "-pthread", "-lm"], check=True)
        return Path(program)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        try:
            programs = list(pool.map(built, jobs))
        except subprocess.CalledProcessError as error:
            sys.exit(f"it does not compile: {error}")
    for (label, sanitizer, path), program in zip(jobs, programs, strict=True):
        print(f"{label}, {sanitizer}: ", end="", flush=True)
        arguments = ["threads"] if sanitizer == "thread" else []
        run = [str(program), str(path / "weights.bin"), *arguments]
        if (code := subprocess.run(run, env={**os.environ, **ENVIRONMENT}).returncode) != 0:
            sys.exit(f"{program} ended with {code}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
