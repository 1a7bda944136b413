"""No import cycles inside a package, imports for type checking alone included."""

import ast
from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import gatewise

SOURCE = Path(gatewise.__file__).parents[1]


def modules_in(folder: Path, root: Path) -> dict[str, Path]:
    """The modules below a folder by their full names."""
    return {
        ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): path
        for path in folder.rglob("*.py")
    }


def imports(module: str, path: Path, known: Iterable[str]) -> set[str]:
    """Which of the known modules a module imports, at the top or inside a function, at run time or for types."""
    names: set[str] = set()
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            stem = ".".join([*above, *([node.module] if node.module else [])])
            names |= {f"{stem}.{alias.name}" for alias in node.names} | {stem}
    found = names & set(known)
    # `from package import module` is of the module; the package itself is meant only where a name of its own is.
    return {name for name in found if not any(other.startswith(f"{name}.") for other in found)} - {module}


def cycle_in(graph: Mapping[str, set[str]]) -> list[str]:
    """One cycle of a graph, from a module to itself; empty when there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def cycle_in_package(folder: Path, root: Path) -> list[str]:
    known = modules_in(folder, root)
    assert known
    return cycle_in({module: imports(module, path, known) for module, path in known.items()})


@pytest.mark.parametrize("package", ["data", "diagnostics", "kernels", "layers"])
def test_no_cycle(package: str):
    assert cycle_in_package(SOURCE / "gatewise" / package, SOURCE) == []


@pytest.mark.parametrize(
    "text",
    [
        "from house.b import thing",
        "from house import b",
        "from . import b",
        "from .b import thing",
        "import house.b",
        "def late():\n    from house.b import thing",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from house.b import thing",
    ],
)
def test_a_cycle_is_found_however_it_is_written(tmp_path: Path, text: str):
    house = tmp_path / "house"
    house.mkdir()
    (house / "__init__.py").write_text("from house.a import thing")
    (house / "a.py").write_text("thing = 1")
    (house / "b.py").write_text("from house.a import thing")
    assert cycle_in_package(house, tmp_path) == []
    (house / "a.py").write_text(text)
    assert set(cycle_in_package(house, tmp_path)) == {"house.a", "house.b"}
