"""Results as text."""

from benchmarks.results import BenchmarkResults, Comparison, LoopBreakdown
from benchmarks.statistics import Quartiles

_COLUMNS = f"  {'':22} {'µs a step':>26}  {'ratio':>20}  {'GF/s':>7}  {'of mm':>5}"


def heading(results: BenchmarkResults) -> str:
    """What was used, and how to read the table."""
    about = results.machine
    libraries = [str(about[name]) for name in ("onnxruntime", "jax") if name in about]
    return "\n".join(
        [
            f"{about['processor']}, {about['threads']} of {about['processors']} processors, float32; instruction set "
            f"{about['instruction_set']} (torch: {about['torch_instruction_set']})",
            ", ".join([f"gatewise {about['gatewise']}", f"torch {about['torch']}", *libraries])
            + f"; load average {results.load_average:.2f} at the start",
            *(f"WARNING: {warning}" for warning in results.warnings),
            *results.unavailable,
            f"Medians of {results.pairs} interleaved rounds, with quartiles. Ratio: a contender's time over ours, "
            "above 1 where ours is faster;",
            "for a baseline of our own (less work) it is our time over the baseline's: the overhead. "
            "of mm: of the rate of torch.mm at (64·B, H) × (H, G·H).",
        ]
    )


def block(comparison: Comparison, displayed: set[str]) -> str:
    """The table of one case; notes in ``shown`` are not repeated."""
    lines = ["", f"{comparison.case}   backend {comparison.backend}, torch.mm {comparison.mm_gflops:.0f} GF/s"]
    if comparison.checked_steps < comparison.case.T:
        lines.append(f"  compared with the reference over {comparison.checked_steps} steps")
    if comparison.rows:
        lines.append(_COLUMNS)
    for row in comparison.rows:
        ratio = "" if row.ratio is None else f"{_quartiles(row.ratio)}×"
        note = "" if row.error_ratio <= 1 else f"  {row.error_ratio:.1f} × the tests' tolerance"
        lines.append(
            f"  {row.contender:22} {_quartiles(row.us_per_step):>26}  {ratio:>20}  {row.gflops:7.1f}  "
            f"{row.share_of_mm:5.0%}{note}"
        )
    if comparison.loop is not None:
        lines.append(f"  {_loop(comparison.loop)}")
    lines += [f"  WRONG, not timed: {contender}: {why}" for contender, why in comparison.wrong.items()]
    lines += [f"  ({why})" for why in comparison.unavailable if why not in displayed]
    displayed.update(comparison.unavailable)
    return "\n".join(lines)


def summary(results: BenchmarkResults) -> str:
    """Geometric means, and what is to be known about the run."""
    lines = ["", "Geometric means of the ratios (least, most)"]
    for mean in results.means:
        many = "case" if mean.cases == 1 else "cases"
        extremes = f"({mean.least:.2f}, {mean.most:.2f})"
        lines.append(
            f"  {mean.cell:18} {mean.mode:10} {mean.contender:22} {mean.ratio:6.2f}× {extremes}  {mean.cases} {many}"
        )
    if not results.means:
        lines = ["", "nothing was compared"]
    lines += [f"skipped, {why}: {'; '.join(cases)}" for why, cases in results.skipped.items()]
    if results.other_processes is not None:
        lines.append(f"other processes kept {results.other_processes:.2f} processors busy meanwhile")
    lines += [f"WARNING: {warning}" for warning in results.warnings]
    return "\n".join(lines)


def _quartiles(found: Quartiles) -> str:
    return f"{_number(found.median)} ({_number(found.low)}–{_number(found.high)})"


def _number(value: float) -> str:
    """Three figures.

    >>> [_number(value) for value in (0.1234, 12.34, 1234.5)]
    ['0.123', '12.3', '1234']
    """
    return f"{value:.0f}" if value >= 100 else f"{value:#.3g}"


def _loop(loop: LoopBreakdown) -> str:
    parts = [f"forward {_number(loop.forward_us)} µs a step, {loop.forward_share_of_mm:.0%} of mm"]
    if loop.backward_us is not None and loop.backward_share_of_mm is not None:
        parts.append(f"backward {_number(loop.backward_us)} µs, {loop.backward_share_of_mm:.0%}")
    return (
        f"our recurrent loop alone: {'; '.join(parts)}; besides, a call spends {_number(loop.products_us)} µs "
        f"in large products, {_number(loop.rest_us)} µs on the rest"
    )
