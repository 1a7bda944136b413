"""A Sphinx directive: the verdict of a study, or one of its tables, from the committed results."""

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from docutils import nodes
from docutils.parsers.rst import Directive, directives

from gatewise.studies.page import markdown_table
from gatewise.studies.record import read_record
from gatewise.studies.registry import choose

if TYPE_CHECKING:
    from sphinx.application import Sphinx

RESULTS = Path(__file__).parents[1] / "studies"


class StudyResults(Directive):
    """``study NAME``: title, verdict and why. With ``:table: TITLE``, the table whose title begins with that."""

    required_arguments = 1
    option_spec: ClassVar = {"table": directives.unchanged_required}

    def run(self) -> list[nodes.Node]:
        """The nodes that replace the directive."""
        (study,) = choose(self.arguments[0])
        path = RESULTS / f"{study.name}.json"
        self.state.document.settings.record_dependencies.add(str(path))
        conclusion = read_record(path).conclusion
        if (title := self.options.get("table")) is None:
            link = f"[{study.name}. {study.title}](studies/{study.name}.md)"
            return self._parsed(f"{link}: **{conclusion.verdict}**. {conclusion.because}")
        tables = [table for table in conclusion.tables if table.title.startswith(title)]
        if len(tables) != 1:
            known = ", ".join(table.title for table in conclusion.tables)
            raise self.error(f"{study.name}: expected one table that begins with {title!r}, the tables are {known}")
        return self._parsed(markdown_table(tables[0].columns, tables[0].rows))

    def _parsed(self, markdown: str) -> list[nodes.Node]:
        node = nodes.Element()
        self.state.nested_parse(markdown.splitlines(), self.content_offset, node)
        return node.children


def setup(app: "Sphinx") -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_directive("study", StudyResults)
    return {"parallel_read_safe": True}
