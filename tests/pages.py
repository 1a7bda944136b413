"""The Python that README and docs show, a program for each page; ``python -m tests.pages FOLDER`` writes them out.

All ```python blocks of a page are one program, and its ```text blocks are what that prints. What takes minutes
(training) is shown in {code-block} instead.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = {str(page.relative_to(ROOT)): page.read_text() for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]}


def blocks(page: str, language: str) -> str:
    """The blocks of a page in a language, one after the other."""
    return "\n".join(re.findall(rf"^```{language}\n(.*?)^```", PAGES[page], flags=re.MULTILINE | re.DOTALL))


PROGRAMS = sorted(page for page in PAGES if blocks(page, "python"))


def main(folder: Path) -> None:
    """Write the programs, for a type checker."""
    folder.mkdir(parents=True, exist_ok=True)
    for page in PROGRAMS:
        (folder / f"{Path(page).stem}.py").write_text(blocks(page, "python"))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
