"""The project uses the field's standard English; this test finds the private vocabulary it used before.

Each table has the private word or phrase on the left and the standard one on the right. Words that are ordinary English
in another sense (`inputs`, `order`, `split`, `rows`, `saved`, `kind`, `jobs`, `words`, `series`) are listed only in the
sense that was private: as the name of a module or an identifier, or inside a phrase. Predictions of studies are never
reworded, so they are not checked.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = (
    "cells",
    "cli",
    "compiler",
    "data",
    "diagnostics",
    "embeddings",
    "equations",
    "explanations",
    "kernels",
    "layers",
    "models",
    "studies",
    "tasks",
)
MODULES_BELOW = ("__init__", "__main__", "extras", "formatting", "progress", "registry", "shapes", "writing")

# Stems of files.
MODULES = {
    "again": "recompute",
    "answers": "attributions, time_series",
    "backward": "backward_equations",
    "changes": "update_norms",
    "door": "execute",
    "gate_pictures": "gate_heat_maps",
    "in_file": "load",
    "inputs": "validation",
    "jobs": "descriptors",
    "keep_gates": "retention",
    "laid_out": "execution plan",
    "likeness": "similarity",
    "listing": "dump",
    "memory": "buffer_pool",
    "one_row": "parameter_passes",
    "passes": "observer",
    "purposes": "the section Gates: of a cell's docstring",
    "reaching": "boundary_states",
    "recorded": "call_record",
    "recorder": "observer",
    "recording": "observers",
    "refusing": "options",
    "remarks": "the section Notes: of a cell's docstring",
    "segments": "checkpointing",
    "series": "labelled_tensors",
    "short_way": "fast_path",
    "sides": "contenders",
    "store": "build_cache",
    "taping": "nothing: calls are not captured and replayed",
    "training_way": "general path",
    "without": "drop_bias",
    "written": "eager_codegen",
}

# Whole identifiers: names of variables, functions, classes, attributes and parameters.
IDENTIFIERS = {
    "Ear": "CallSink",
    "Expected": "InputSpec",
    "Frame": "plan instance",
    "KeepGate": "RetentionGate",
    "Kept": "saved",
    "LaidOut": "execution plan",
    "Lane": "stream slot",
    "Listener": "CallObserver",
    "MissingSpelling": "MissingImplementation",
    "Place": "Location (of a layer), Storage (of a value)",
    "Side": "input projection",
    "Taping": "nothing: calls are not captured and replayed",
    "Teller": "Forecaster",
    "Together": "input projection",
    "add_up": "accumulate",
    "after_loop": "parameter_gradients",
    "asked_again": "recompute_call",
    "at": "index",
    "came": "actual",
    "ear": "sink",
    "kept_or_made": "get_or_pack",
    "laid_out": "plan",
    "lay_out": "plan",
    "likeness": "similarity",
    "of_x": "input projection",
    "picture": "plot, heat_map",
    "place": "position, location",
    "places": "positions, storage",
    "placement": "gather, scatter",
    "purpose": "role",
    "purposes": "roles",
    "refuse": "check_…",
    "short_way": "fast_path",
    "shown": "observed",
    "spelling": "implementation",
    "steady": "loop_invariant",
    "steep": "unsaturated",
    "sums": "reductions",
    "tell": "notify",
    "told": "message, reported",
    "training_way": "general_path",
    "way": "path",
}

# Phrases in comments, docstrings, messages and pages, as regular expressions without regard to case.
PHRASES = {
    r"\btold\b|\btells? (of|its|the|how|what|which|where)\b": "reported; reports",
    r"\b(who|whom|whoever) (watches|asks|wants|has|looks)\b|\bfor whom\b|\bwhoever\b": "observers",
    r"\b(nobody|somebody|anybody)\b": "no one; or name the other: another process, the caller",
    r"\bon (its|the) way (back|from|through)\b|\bway (back|into|through)\b": "in the backward pass",
    r"\bthe (long|short|training) way\b": "general path, fast path",
    r"\bopen to view\b": "readable",
    r"\bdear to\b": "expensive",
    r"\bkept for the\b": "saved for, cached for",
    r"\b(is|are|was|were|be|being) left out\b|\b(leave|leaves|leaving) out\b": "skipped, omitted, excluded",
    r"\bgo(es)? on\b|\bgoing on\b": "continue, resume",
    r"\b(is|are) no (vector|tensor|finding|padding|group|gate|bias|measure|loss|value|word|cell|label|text|number)\b": (
        "is not a …"
    ),
    r"\bstands? (beside|below|above|together|side|in|next|there|before|behind|under|where)\b": "is, is listed",
    r"\b(through )?the house\b": "the package",
    r"\bso many\b": "n, as many as",
    r"\bas (they|it) comes?\b": "streaming; unchanged",
    r"\b(is|are|was|were|first) met\b": "occurs, first occurs",
    r"\balike\b": "equal, similar",
    r"\blikeness\b": "similarity",
    r"\bpictures?\b": "plot, heat map, figure",
    r"\billness\b": "problem",
    r"\brefus(e|es|ed|ing)\b": "raises, rejects",
    r"\bhand(s|ed)? (over|theirs)\b": "passes",
    r"\bdealt (to|out)\b": "distributed",
    r"\bthe part of (all|its|the) (values|units|steps)\b": "the fraction of",
    r"\bis said\b|\bit is said\b": "with a notice",
    r"\bwhat (it|that) weighs\b": "install size",
    r"\bnever those of yesterday\b": "never stale",
    r"\bis not for this model\b": "is not supported by this model",
}

# (path, word or phrase): why it stays.
_MET = r"\b(is|are|was|were|first) met\b"
EXCEPTIONS: dict[tuple[str, str], str] = {
    ("src/gatewise/tasks/memory.py", "memory"): "the memory that training needs",
    ("tests/tasks/test_memory.py", "memory"): "the memory that training needs",
    ("src/gatewise/data/series.py", "series"): "time series",
    ("tests/data/test_series.py", "series"): "time series",
    ("src/gatewise/tasks/sequence_options.py", "spelling"): "an option of the command line",
    ("src/gatewise/models/token_embedding.py", "spelling"): "the name of weights in saved models",
    ("tests/models/test_classifier.py", "spelling"): "the parameter of TokenEmbedding",
    ("src/gatewise/studies/jobs.py", "jobs"): "jobs of a pool of processes",
    ("src/gatewise/studies/c01_vanishing.py", _MET): "conditions are met; the sentence is in committed results",
    (
        "src/gatewise/studies/c08_peepholes.py",
        r"\b(is|are|was|were|be|being) left out\b|\b(leave|leaves|leaving) out\b",
    ): ("a summary of a paper, in committed results"),
}


class Text(NamedTuple):
    """A comment, string or paragraph, its lines joined."""

    line: int
    text: str


def core() -> list[Path]:
    """The Python files in scope, sources first."""
    sources = [ROOT / "src" / "gatewise" / f"{name}.py" for name in MODULES_BELOW]
    for parent in (ROOT / "src" / "gatewise", ROOT / "tests"):
        sources += [path for package in PACKAGES for path in sorted((parent / package).rglob("*.py"))]
    for folder in ("benchmarks", "csrc", "docs/extensions", "examples", "tests/benchmarks", "tests/examples"):
        sources += sorted((ROOT / folder).rglob("*.py"))
    sources += [path for path in sorted((ROOT / "tests").glob("*.py")) if path != Path(__file__)]
    return sources


def pages() -> list[Path]:
    """The Markdown files in scope; results of studies quote predictions, which must not be reworded."""
    names = ("ARCHITECTURE", "CONTRIBUTING", "README", "csrc/README")
    written = [page for page in (ROOT / "docs").rglob("*.md") if page.parent.name != "studies"]
    return [*(ROOT / f"{name}.md" for name in names), *written]


def engine() -> list[Path]:
    """The C++ files."""
    return [path for path in sorted((ROOT / "csrc").rglob("*")) if path.suffix in (".h", ".cpp")]


def comments_of_cpp(source: str) -> Iterator[Text]:
    """Comments, those on adjacent lines joined, and the strings of messages."""
    comment_or_string = r"/\*.*?\*/|//[^\n]*(?:\n\s*//[^\n]*)*|\"[^\"\n]*\""
    for found in re.finditer(comment_or_string, source, re.DOTALL):
        text = " ".join(re.sub(r"\n\s*//", " ", found[0]).split())
        yield Text(source.count("\n", 0, found.start()) + 1, text)


def report_page() -> list[Path]:
    """The HTML and JavaScript of the report."""
    folder = ROOT / "src" / "gatewise" / "diagnostics" / "page"
    return [path for path in sorted(folder.iterdir()) if path.suffix in (".html", ".js")]


def predictions_of_studies(source: str) -> set[int]:
    """The lines on which the text of a study's prediction begins."""
    return {
        node.value.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Assign)
        and any(isinstance(one, ast.Name) and one.id == "prediction" for one in node.targets)
    }


def texts_of_python(source: str) -> Iterator[Text]:
    """Comments, those on adjacent lines joined, and strings, docstrings among them."""
    predictions = predictions_of_studies(source)
    comment: list[str] = []
    first = last = 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            if comment and token.start[0] != last + 1:
                yield Text(first, " ".join(comment))
                comment = []
            first = first if comment else token.start[0]
            last = token.start[0]
            comment.append(token.string.lstrip("# "))
        elif token.type == tokenize.STRING and token.start[0] not in predictions:
            yield Text(token.start[0], " ".join(token.string.split()))
    if comment:
        yield Text(first, " ".join(comment))


def texts_of_markdown(source: str) -> Iterator[Text]:
    """Paragraphs, without code."""
    prose = re.sub(r"^```.*?^```", lambda block: "\n" * block[0].count("\n"), source, flags=re.MULTILINE | re.DOTALL)
    prose = re.sub(r"^    .*$", "", prose, flags=re.MULTILINE)
    line = 1
    for paragraph in re.split(r"(\n\s*\n)", prose):
        if paragraph.strip():
            yield Text(line, re.sub(r"`[^`]*`", "`…`", " ".join(paragraph.split())))
        line += paragraph.count("\n")


def names_of(source: str) -> Iterator[tuple[int, str]]:
    """The identifiers that a file defines or assigns; what it uses of other packages is named there."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.attr
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.lineno, node.name
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg


def found_phrases(texts: Iterable[Text], phrases: dict[str, str]) -> list[str]:
    """A line for every phrase in some texts."""
    return [
        f"line {text.line}: {match[0]!r} in {text.text[max(0, match.start() - 40) : match.end() + 40]!r}: {instead}"
        for text in texts
        for phrase, instead in phrases.items()
        for match in re.finditer(phrase, text.text, re.IGNORECASE)
    ]


def names_as_phrases(source: str) -> Iterator[Text]:
    """The names of functions and classes, as `test_what_is_told`, as words."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield Text(node.lineno, node.name.replace("_", " "))


def found_names(source: str, identifiers: dict[str, str]) -> list[str]:
    """A line for every identifier that has a standard name; a leading underscore does not count."""
    return [
        f"line {line}: {name}: {identifiers[name.lstrip('_')]}"
        for line, name in names_of(source)
        if name.lstrip("_") in identifiers
    ]


def allowed(path: Path) -> set[str]:
    """The words that stay in a file."""
    return {word for name, word in EXCEPTIONS if ROOT / name == path}


@pytest.mark.parametrize("path", core(), ids=lambda path: str(path.relative_to(ROOT)))
def test_python(path: Path) -> None:
    source = path.read_text()
    phrases = {phrase: instead for phrase, instead in PHRASES.items() if phrase not in allowed(path)}
    identifiers = {name: instead for name, instead in IDENTIFIERS.items() if name not in allowed(path)}
    assert found_phrases([*texts_of_python(source), *names_as_phrases(source)], phrases) == []
    assert found_names(source, identifiers) == []
    assert not re.search(r"^\s*Arguments:$", source, re.MULTILINE), "Google style has Args:"


@pytest.mark.parametrize("path", pages(), ids=lambda path: str(path.relative_to(ROOT)))
def test_pages(path: Path) -> None:
    assert found_phrases(texts_of_markdown(path.read_text()), PHRASES) == []


@pytest.mark.parametrize("path", engine(), ids=lambda path: str(path.relative_to(ROOT)))
def test_engine(path: Path) -> None:
    assert found_phrases(comments_of_cpp(path.read_text()), PHRASES) == []


@pytest.mark.parametrize("path", report_page(), ids=lambda path: path.name)
def test_report_page(path: Path) -> None:
    lines = (Text(number, line) for number, line in enumerate(path.read_text().splitlines(), start=1))
    assert found_phrases(lines, PHRASES) == []


def test_names_of_modules() -> None:
    # A file of benchmarks may measure memory, or make inputs.
    stems = {path.stem.removeprefix("test_"): path for path in core() if "benchmarks" not in path.parts}
    found = {name: stems[name] for name in MODULES if name in stems and name not in allowed(stems[name])}
    assert {str(path.relative_to(ROOT)): MODULES[name] for name, path in found.items()} == {}


def test_exceptions_are_needed() -> None:
    for name, word in EXCEPTIONS:
        source = (ROOT / name).read_text()
        needed = [*found_names(source, IDENTIFIERS), *found_phrases(texts_of_python(source), PHRASES)]
        needed += [Path(name).stem]
        assert any(re.search(word, line) for line in needed), f"{name} no longer needs {word}"


def test_changelog_has_one_heading_of_each_kind() -> None:
    """Merges by union can repeat whole sections."""
    for version in (ROOT / "CHANGELOG.md").read_text().split("\n## ")[1:]:
        headings = re.findall(r"^### (.+)$", version, re.MULTILINE)
        assert headings == [kind for kind in ("Added", "Changed", "Removed", "Fixed") if kind in headings]
        entries = re.findall(r"^- .+$", version, re.MULTILINE)
        assert len(entries) == len(set(entries))


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ('"""The user is\ntold."""', 1),
        ("# for whoever\n# watches\nx = 1\n# nobody\n", 2),
        ("place = [at for at in ()]\n", 0),
        ('x = "what is no tensor", "the way back"', 2),
        ("def test_wrong_lengths_are_told(): pass", 1),
    ],
)
def test_phrases_are_found_across_lines(source: str, count: int) -> None:
    assert len(found_phrases([*texts_of_python(source), *names_as_phrases(source)], PHRASES)) == count


def test_phrases_are_found_in_comments_of_cpp() -> None:
    source = 'int told; // what is\n  // told\n/* nobody */ f("the way back"); x = told;'
    assert len(found_phrases(comments_of_cpp(source), PHRASES)) == 3


def test_identifiers_are_found_where_they_are_defined() -> None:
    source = "def f(told, *, _steady): self.place = 1\nclass Ear: pass\nfor at, x in y: print(came)\n"
    assert len(found_names(source, IDENTIFIERS)) == 5
    assert len(found_phrases(texts_of_markdown("a `told`\n\n    told\n\n```\ntold\n```\n\nis\ntold"), PHRASES)) == 1
