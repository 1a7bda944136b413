"""Running a study: learning rates first, then every condition with every seed, in parallel processes."""

import signal
from collections.abc import Iterator, Sequence
from itertools import starmap
from typing import NamedTuple

from gatewise.progress import Progress
from gatewise.studies.jobs import Job, JobLog, Measured, measure
from gatewise.studies.learning_rates import recorded_rates
from gatewise.studies.measurements import Measurements
from gatewise.studies.study import Budget, Study

TUNING_SEEDS = (1001, 1002)
"""Learning rates are chosen on these seeds, which measure nothing else."""


class Run(NamedTuple):
    """A finished run of a study.

    Attributes:
        measured: the measurements.
        tuning: the mean score of each rate, by what was tuned; empty if the rates are recorded ones.
        seconds: the processor time of all measurements.
    """

    measured: Measurements
    tuning: dict[str, dict[str, float]]
    seconds: float


def run(study: Study, budget: Budget, seeds: int, log: JobLog, workers: int) -> Run:
    """Run a study.

    Args:
        study: the study.
        budget: how much to measure.
        seeds: the number of seeds.
        log: has the outcomes that need not be measured again, and receives each new one as it arrives.
        workers: the number of processes; 1 measures in this process.
    """
    runner = _Runner(study, log, workers)
    rates, tuning = _rates(study, budget, runner)
    settings = study.conditions(budget, rates)
    # Seed by seed, so that an interrupted run has all conditions.
    jobs = [Job(study.name, name, seed, given) for seed in range(seeds) for name, given in settings.items()]
    outcomes = runner.run(jobs, "measuring")
    by_condition = {
        name: [one.outcome for job, one in zip(jobs, outcomes, strict=True) if job.condition == name]
        for name in settings
    }
    return Run(Measurements(budget, settings, by_condition, range(seeds), rates), tuning, runner.seconds)


def _rates(study: Study, budget: Budget, runner: "_Runner") -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """The learning rates by what is tuned, and the scores by which they were chosen, if they were chosen now."""
    tuned = study.tuned(budget)
    recorded = recorded_rates(study.name)
    if budget == "quick" and tuned.keys() <= recorded.keys():
        return {name: recorded[name] for name in tuned}, {}
    grid = study.learning_rates[:1] if budget == "tiny" else study.learning_rates
    seeds = TUNING_SEEDS[:1] if budget == "tiny" else TUNING_SEEDS
    jobs = [
        Job(study.name, name, seed, {**settings, "rate": rate})
        for seed in seeds
        for name, settings in tuned.items()
        for rate in grid
    ]
    outcomes = runner.run(jobs, "choosing learning rates")
    scores: dict[str, dict[str, float]] = {}
    for name in tuned:
        scores[name] = {}
        for rate in grid:
            of_rate = [
                study.score(one.outcome)
                for job, one in zip(jobs, outcomes, strict=True)
                if job.condition == name and job.settings["rate"] == rate
            ]
            scores[name][f"{rate:g}"] = sum(of_rate) / len(of_rate)
    return {name: float(min(of, key=lambda rate: of[rate])) for name, of in scores.items()}, scores


class _Runner:
    def __init__(self, study: Study, log: JobLog, workers: int) -> None:
        self.seconds = 0.0
        self._study, self._log, self._known, self._workers = study, log, log.read(), workers

    def run(self, jobs: Sequence[Job], what: str) -> list[Measured]:
        """The outcomes of the jobs, in their order."""
        keys = [job.key for job in jobs]
        found = {key: self._known[key] for key in keys if key in self._known}
        todo = [(job, key) for job, key in zip(jobs, keys, strict=True) if key not in found]
        with Progress(f"{self._study.name}, {what}", total=len(jobs), done=len(found)) as progress:
            for measured in self._measure(todo):
                found[measured.key] = measured
                self._log.append(measured)
                progress.advance()
        outcomes = [found[key] for key in keys]
        self.seconds += sum(one.seconds for one in outcomes)
        return outcomes

    def _measure(self, jobs: Sequence[tuple[Job, str]]) -> Iterator[Measured]:
        if self._workers == 1 or len(jobs) < 2:
            return starmap(measure, jobs)

        from joblib import Parallel, delayed, parallel_config

        with parallel_config("loky", inner_max_num_threads=1, initializer=_ignore_interrupts):
            pool = Parallel(n_jobs=self._workers, return_as="generator_unordered")
            return pool(delayed(measure)(*job) for job in jobs)  # pyright: ignore[reportReturnType]


def _ignore_interrupts() -> None:
    """Leave Ctrl-C, which a terminal sends to all processes, to the one that started the study; it ends the others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
