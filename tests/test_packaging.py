"""The package as a whole: what it exports, what an import costs, who may import whom, what it is tested with."""

import importlib.metadata
import inspect
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import gatewise
from gatewise.extras import EXTRAS

ROOT = Path(__file__).parents[1]
needs_install = pytest.mark.skipif(
    not os.environ.get("GATEWISE_EXPECT_INSTALLED"), reason="of an installed wheel; see make test-wheel"
)
HEAVY = ("torch", "numpy", "lightning", "matplotlib", "tokenizers", "safetensors")
QUICK = (
    "import gatewise",
    *(
        f"from gatewise.cli import main; main({words})"
        for words in (
            ["--version"],
            ["--help"],
            *([verb, "--help"] for verb in ("evaluate", "explain", "inspect", "predict", "study", "train")),
        )
    ),
)


def python(code: str, *options: str) -> str:
    command = [sys.executable, *options, "-c", code]
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout


def test_public_names():
    assert sorted(gatewise.__all__) == [
        "BiGRU",
        "BiLSTM",
        "BiRNN",
        "Cell",
        "Clip",
        "DefinitionError",
        "GRU",
        "GRUCell",
        "Init",
        "LSTM",
        "LSTMCell",
        "PeepholeLSTM",
        "RNN",
        "RNNCell",
        "Recurrent",
        "Stack",
        "TBPTT",
        "Watch",
        "cell",
        "evaluate",
        "explain",
        "from_flax",
        "from_keras",
        "from_onnx",
        "from_torch",
        "inspect",
        "interchange",
        "load",
        "mask_seed",
        "predict",
        "replace",
        "runtime",
        "study",
        "to_c",
        "to_flax",
        "to_keras",
        "to_onnx",
        "to_torch",
        "train",
        "watch",
    ]


@pytest.mark.parametrize("name", gatewise.__all__)
def test_every_public_name_loads_and_is_documented(name):
    assert name in dir(gatewise)
    assert inspect.getdoc(getattr(gatewise, name))


def test_unknown_name_raises_as_in_python():
    with pytest.raises(AttributeError, match="module 'gatewise' has no attribute 'Lstm'"):
        _ = gatewise.Lstm


@pytest.mark.parametrize("code", QUICK)
def test_a_quick_start_imports_nothing_heavy(code):
    loaded = python(f"import atexit, sys\natexit.register(lambda: print('\\nloaded', *sys.modules))\n{code}")
    names = loaded.splitlines()[-1].split()
    assert names[0] == "loaded"
    assert not [name for name in HEAVY if name in names]
    assert len(names) < 450  # modules, about 300 today: their number is the same on every machine, seconds are not


def test_equations_cells_compiler_and_explanations_need_the_standard_library_alone():
    # -I -S: no site-packages, no environment variables.
    source = str(ROOT / "src")
    python(
        f"import sys; sys.path.insert(0, {source!r})\n"
        "import gatewise.equations, gatewise.cells, gatewise.compiler, gatewise.explanations\n"
        "print(gatewise.explanations.explain('lstm'))",
        "-I",
        "-S",
    )


def test_the_import_rule_holds():
    pytest.importorskip("importlinter")
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"]
    run = subprocess.run([*command, "--no-cache"], capture_output=True, text=True, cwd=ROOT)
    assert run.returncode == 0, run.stdout
    assert "0 broken" in run.stdout


def test_every_requirement_is_pinned_to_a_version_in_its_range():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = dict(line.lower().split("==") for line in lines if not line.startswith("#"))
    wanted = [
        *project["dependencies"],
        *(line for extra in project["optional-dependencies"].values() for line in extra),
    ]
    for requirement in map(Requirement, wanted):
        if requirement.name == "gatewise":  # an extra of extras
            continue
        assert requirement.specifier.contains(pins[requirement.name.lower()]), requirement


def closure(*names: str) -> set[str]:
    """Distributions with everything that they require, without extras."""
    found: set[str] = set()
    wanted = list(names)
    while wanted:
        name = canonicalize_name(wanted.pop())
        if name not in found:
            found.add(name)
            required = map(Requirement, importlib.metadata.requires(name) or ())
            wanted += [one.name for one in required if one.marker is None or one.marker.evaluate({"extra": ""})]
    return found


def megabytes(name: str) -> float:
    """The size of a distribution's files, compiled Python included."""
    files = importlib.metadata.files(name) or ()
    return sum(path.stat().st_size for one in files if (path := Path(str(one.locate()))).exists()) / 1e6


@needs_install
def test_what_is_installed_beside_torch_and_numpy_is_small():
    sizes = {name: megabytes(name) for name in closure("gatewise") - closure("torch", "numpy")}
    assert sizes.keys() >= {"gatewise", "cyclopts", "safetensors"}
    assert not sizes.keys() & {package for packages in EXTRAS.values() for package in packages}
    assert sum(sizes.values()) < 33, sizes


@needs_install
def test_the_wheel_is_the_package_alone():
    files = importlib.metadata.files("gatewise") or ()
    folders = {file.parts[0] for file in files if file.parts[0] != ".."}
    assert folders == {"gatewise", f"gatewise-{gatewise.__version__}.dist-info"}


def test_the_package_says_that_it_is_typed():
    assert os.path.exists(Path(gatewise.__file__).with_name("py.typed"))
