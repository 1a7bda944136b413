"""The folder of results."""

from collections.abc import Sequence
from pathlib import Path

from gatewise.studies.figures import draw
from gatewise.studies.jobs import JobLog
from gatewise.studies.page import html_page, markdown_page
from gatewise.studies.record import Record, read_record
from gatewise.studies.registry import studies
from gatewise.studies.study import Study
from gatewise.writing import atomic_write, check_folder


class StudyFolder:
    """The files that studies leave in a folder.

    Args:
        path: the folder; made when it is needed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def check(self, names: Sequence[str], *, resume: bool) -> None:
        """Check, before the work, that results of these studies can be written.

        Raises:
            ValueError: when there are results already, without ``resume``; or nothing to resume.
            OSError: when the folder cannot be made or written to.
        """
        check_folder(self.path)
        left = [name for name in names if self._results(name).exists() or self._log(name).path.exists()]
        if left and not resume:
            raise ValueError(
                f"{self.path}: holds results of {', '.join(left)} already; choose another --out, or keep what can be "
                "kept with --resume"
            )
        if resume and not self.path.is_dir():
            raise ValueError(f"{self.path}: not a folder of an interrupted run; to start a new one, omit --resume")

    def log(self, name: str) -> JobLog:
        """The measurements of a study, as they arrive."""
        self.path.mkdir(parents=True, exist_ok=True)
        return self._log(name)

    def write(self, study: Study, record: Record) -> None:
        """Write the files of a study, and the page of all studies in the folder."""
        svg, png = draw(study, record)
        for suffix, content in ((".svg", svg), (".png", png), (".md", markdown_page(study, record).encode())):
            with atomic_write(self.path / f"{study.name}{suffix}") as file:
                file.write(content)
        record.write(self._results(study.name))  # last: a study with results has all of its files
        pages = [
            (one, read_record(self._results(name)), self._text(f"{name}.md"), self._text(f"{name}.svg"))
            for name, one in studies().items()
            if self._results(name).exists()
        ]
        with atomic_write(self.path / "index.html") as file:
            file.write(html_page(pages).encode())

    def _results(self, name: str) -> Path:
        return self.path / f"{name}.json"

    def _log(self, name: str) -> JobLog:
        return JobLog(self.path / f"{name}.jobs.jsonl")

    def _text(self, name: str) -> str:
        return (self.path / name).read_text(encoding="utf-8")
