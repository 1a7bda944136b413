"""An outcome as text."""

from gatewise.benchmarks.outcome import Comparison, Loop, Outcome
from gatewise.benchmarks.spread import Spread

_COLUMNS = f"  {'':22} {'µs a step':>26}  {'ratio':>20}  {'GF/s':>7}  {'of mm':>5}"


def heading(outcome: Outcome) -> str:
    """What was used, and how to read the table."""
    about = outcome.machine
    libraries = [str(about[name]) for name in ("onnxruntime", "jax") if name in about]
    return "\n".join(
        [
            f"{about['processor']}, {about['threads']} of {about['processors']} processors, float32; instruction set "
            f"{about['instruction_set']} (torch: {about['torch_instruction_set']})",
            ", ".join([f"gatewise {about['gatewise']}", f"torch {about['torch']}", *libraries])
            + f"; load average {outcome.load_average:.2f} at the start",
            *(f"WARNING: {warning}" for warning in outcome.warnings),
            *outcome.absent,
            f"Medians of {outcome.pairs} rounds in turns, with quartiles. Ratio: a side's time over ours, so above 1 "
            "where ours is faster;",
            "beside a lighter task of our own it is ours over that one's: what it costs more. "
            "of mm: of the rate of torch.mm at (64·B, H) × (H, G·H).",
        ]
    )


def block(comparison: Comparison, told: set[str]) -> str:
    """The table of one point; what is in ``told`` already is not said again."""
    lines = ["", f"{comparison.point}   backend {comparison.backend}, torch.mm {comparison.mm_gflops:.0f} GF/s"]
    if comparison.checked_steps < comparison.point.T:
        lines.append(f"  compared with the reference over {comparison.checked_steps} steps")
    if comparison.rows:
        lines.append(_COLUMNS)
    for row in comparison.rows:
        ratio = "" if row.ratio is None else f"{_spread(row.ratio)}×"
        note = "" if row.excess <= 1 else f"  {row.excess:.1f} × the tests' tolerance"
        lines.append(
            f"  {row.side:22} {_spread(row.us_per_step):>26}  {ratio:>20}  {row.gflops:7.1f}  "
            f"{row.share_of_mm:5.0%}{note}"
        )
    if comparison.loop is not None:
        lines.append(f"  {_loop(comparison.loop)}")
    lines += [f"  WRONG, not timed: {side}: {why}" for side, why in comparison.wrong.items()]
    lines += [f"  ({why})" for why in comparison.absent if why not in told]
    told.update(comparison.absent)
    return "\n".join(lines)


def summary(outcome: Outcome) -> str:
    """Geometric means, and what is to be known about the run."""
    lines = ["", "Geometric means of the ratios (least, most)"]
    for mean in outcome.means:
        many = "point" if mean.points == 1 else "points"
        lines.append(
            f"  {mean.cell:18} {mean.mode:10} {mean.side:22} {mean.ratio:6.2f}× ({mean.least:.2f}, {mean.most:.2f})"
            f"  {mean.points} {many}"
        )
    if not outcome.means:
        lines = ["", "nothing was compared"]
    lines += [f"left out, {why}: {'; '.join(points)}" for why, points in outcome.left_out.items()]
    if outcome.others_processors is not None:
        lines.append(f"other processes kept {outcome.others_processors:.2f} processors busy meanwhile")
    lines += [f"WARNING: {warning}" for warning in outcome.warnings]
    return "\n".join(lines)


def _spread(found: Spread) -> str:
    return f"{_number(found.median)} ({_number(found.low)}–{_number(found.high)})"


def _number(value: float) -> str:
    """Three figures.

    >>> [_number(value) for value in (0.1234, 12.34, 1234.5)]
    ['0.123', '12.3', '1234']
    """
    return f"{value:.0f}" if value >= 100 else f"{value:#.3g}"


def _loop(loop: Loop) -> str:
    parts = [f"forward {_number(loop.forward_us)} µs a step, {loop.forward_share_of_mm:.0%} of mm"]
    if loop.backward_us is not None and loop.backward_share_of_mm is not None:
        parts.append(f"backward {_number(loop.backward_us)} µs, {loop.backward_share_of_mm:.0%}")
    return (
        f"our recurrent loop alone: {'; '.join(parts)}; besides, a call spends {_number(loop.products_us)} µs "
        f"in large products, {_number(loop.rest_us)} µs on the rest"
    )
