"""The page of a study in Markdown, and all studies of a folder as one page of HTML."""

import html
import re
from collections.abc import Sequence
from typing import Any

from gatewise.formatting import format_number
from gatewise.studies.record import Record
from gatewise.studies.statistics import FEWEST_PAIRS, Comparison
from gatewise.studies.study import Study

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
table { border-collapse: collapse; margin: 1rem 0; display: block; overflow-x: auto; }
th, td { border: 1px solid #ccc; padding: .25rem .6rem; text-align: left; }
th { background: #f3f3f3; }
img { max-width: 100%; height: auto; }
code, pre { background: #f6f6f6; }
section { border-top: 3px solid #ddd; margin-top: 3rem; }
@media (prefers-color-scheme: dark) {
  body { background: #181818; color: #ddd; } th, code, pre { background: #262626; } th, td { border-color: #444; }
  img { background: #fff; }
}
"""


def markdown_page(study: Study, record: Record) -> str:
    """The page of a study.

    Args:
        study: the study.
        record: its results.
    """
    conclusion, facts = record.conclusion, record.facts
    indicative = "" if facts["budget"] == "full" else f" (indicative: the {facts['budget']} budget)"
    parts = [
        f"# {study.name}. {study.title}",
        f"**Claim.** {study.claim}",
        f"**Verdict: {conclusion.verdict}**{indicative}. {conclusion.because}",
        f"![{study.title}]({study.name}.svg)",
        f"## Question\n\n{study.question}",
        f"## Set-up\n\n{study.setup.strip()}\n\nEqual between the sides: {study.equal}.",
        f"## Prediction\n\nWritten before the results (SHA-256 `{facts['prediction_sha256'][:16]}…`):\n\n"
        + _quoted(study.prediction),
        "## Results",
        *(f"**{table.title}**\n\n{markdown_table(table.columns, table.rows)}" for table in conclusion.tables),
    ]
    if conclusion.comparisons:
        parts.append(_comparisons(conclusion.comparisons))
    parts += [f"- {note}" for note in conclusion.notes]
    if record.measured.rates:
        parts.append(_rates(record))
    parts.append("## Literature\n\n" + "\n".join(f"- {one.result} ({one.source})" for one in study.literature))
    parts.append(_every_seed(record))
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    parts.append(
        f"## How this was measured\n\n`{facts['command']}` on {facts['date']}: {facts['seeds']} seeds, "
        f"{facts['minutes']} minutes ({facts['processor_minutes']} of one processor). {facts['machine']}. {versions}. "
        f"All numbers: `{study.name}.json`."
    )
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def html_page(pages: Sequence[tuple[Study, Record, str, str]]) -> str:
    """One page with all studies.

    Args:
        pages: study, record, page in Markdown and figure in SVG, for each.
    """
    from markdown_it import MarkdownIt

    markdown = MarkdownIt("js-default")
    rows = "".join(
        f'<tr><td><a href="#{study.name}">{study.name}</a></td><td>{html.escape(study.title)}</td>'
        f"<td>{html.escape(record.verdict)}</td></tr>"
        for study, record, _, _ in pages
    )
    sections: list[str] = []
    for study, _, text, figure in pages:
        body = markdown.render(text)
        parts = re.split(rf'<img src="{study.name}\.svg"[^>]*>', body)
        sections.append(f'<section id="{study.name}">{_inline(study.name, figure).join(parts)}</section>')
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>gatewise: studies</title><style>{_STYLE}</style></head><body><h1>Studies</h1>"
        f"<table><thead><tr><th>study</th><th>claim</th><th>verdict</th></tr></thead><tbody>{rows}</tbody></table>"
        f"{''.join(sections)}</body></html>\n"
    )


def _inline(name: str, figure: str) -> str:
    """The figure as an element whose identifiers no other figure of the page has."""
    svg = figure[figure.index("<svg") :]
    svg = re.sub(r'(id="|href="#|url\(#)', lambda found: f"{found.group(1)}{name}-", svg)
    return f'<div role="img" style="background: #fff">{svg}</div>'


def _quoted(text: str) -> str:
    return "\n".join(f"> {line}".rstrip() for line in text.strip().splitlines())


def markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown, as the pages have it."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _comparisons(comparisons: Sequence[Comparison]) -> str:
    rows = [
        (
            one.what,
            f"{format_number(one.mean, 3)} {one.unit}".strip(),
            f"{format_number(one.low, 3)} to {format_number(one.high, 3)}",
            format_number(one.p, 2) + (" (the least possible)" if one.p <= one.smallest_p else ""),
            "–" if one.effect is None else format_number(one.effect, 2),
            ", ".join(format_number(value, 3) for value in one.differences),
        )
        for one in comparisons
    ]
    columns = ("paired over seeds", "mean", "95 % interval", "p", "effect d_z", "each seed")
    pairs = len(comparisons[0].differences)
    least = format_number(comparisons[0].smallest_p, 2)
    few = f" With fewer than {FEWEST_PAIRS} pairs no difference counts as clear." if pairs < FEWEST_PAIRS else ""
    return (
        f"**Comparisons**\n\n{markdown_table(columns, rows)}\n\nIntervals are percentiles of the bootstrap; p is "
        f"that of the sign-flip permutation test, which with {pairs} pairs cannot be below {least}; the effect is the "
        "mean in standard deviations of the differences. No correction for several comparisons is made." + few
    )


def _rates(record: Record) -> str:
    rates = [(name, f"{rate:g}") for name, rate in record.measured.rates.items()]
    if not record.tuning:
        return f"**Learning rates**, as chosen by the full run\n\n{markdown_table(('for', 'rate'), rates)}"
    grid = list(next(iter(record.tuning.values())))
    rows = [
        (name, rate, *(format_number(scores[one], 3) for one in grid))
        for (name, rate), scores in zip(rates, record.tuning.values(), strict=True)
    ]
    columns = ("for", "chosen", *(f"score at {one}" for one in grid))
    return f"**Learning rates**, chosen on separate seeds by the lowest mean score\n\n{markdown_table(columns, rows)}"


def _every_seed(record: Record) -> str:
    """The single numbers of every outcome, for each condition and seed, a table for each kind of outcome.

    Lists are in the JSON file.
    """
    measured = record.measured
    kinds: dict[tuple[str, ...], list[tuple[str, ...]]] = {}
    for condition in measured.conditions:
        for seed, outcome in zip(measured.seeds, measured.outcomes[condition], strict=True):
            names = tuple(name for name, value in outcome.items() if not isinstance(value, list | dict))
            kinds.setdefault(names, []).append((condition, str(seed), *(_cell(outcome[name]) for name in names)))
    tables = [
        markdown_table(("condition", "seed", *(name.replace("_", " ") for name in names)), rows)
        for names, rows in kinds.items()
    ]
    return "\n\n".join(["## Every seed", *tables])


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return format_number(value, 3) if isinstance(value, float) else str(value)
