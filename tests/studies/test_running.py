"""Running a study: the log, resuming, and the choice of learning rates; with a study that counts its measurements."""

from pathlib import Path

import pytest

from gatewise.studies import jobs, registry, running
from gatewise.studies.jobs import JobLog
from gatewise.studies.study import Budget, Conclusion, Settings, Study


class Fake(Study):
    """Measures seed × factor; the rate 0.1 has the lowest mean score, though not for every seed."""

    name, word, title, claim, question, setup, equal = "C99", "fake", "t", "c", "q", "s", "all"
    prediction, literature, learning_rates = "none", (), (0.01, 0.1, 1.0)
    factor = 2

    def __init__(self) -> None:
        self.calls: list[tuple[dict, int]] = []

    def tuned(self, budget: Budget) -> dict[str, Settings]:
        return {"side": {}}

    def score(self, outcome):
        return outcome["score"]

    def conditions(self, budget, rates):
        return {"a": {"rate": rates["side"], "factor": self.factor}, "b": {"factor": 3}}

    def measure(self, settings, seed):
        self.calls.append((dict(settings), seed))
        if "factor" in settings:
            return {"value": settings["factor"] * seed}
        scores = {0.01: (0.0, 9.0), 0.1: (2.0, 2.0), 1.0: (5.0, 5.0)}[settings["rate"]]
        return {"score": scores[running.TUNING_SEEDS.index(seed)]}

    def conclude(self, measured):
        return Conclusion("holds", "It does.", ())

    def draw(self, measured, figure):
        figure.subplots()


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Fake:
    study = Fake()
    monkeypatch.setattr(registry, "studies", lambda: {"C99": study})
    monkeypatch.setattr(running, "recorded_rates", lambda name: {})
    return study


def test_the_rate_of_the_lowest_mean_score(fake: Fake, tmp_path: Path) -> None:
    done = running.run(fake, "full", 3, JobLog(tmp_path / "log"), 1)
    assert done.measured.rates == {"side": 0.1}
    assert done.tuning == {"side": {"0.01": 4.5, "0.1": 2.0, "1": 5.0}}
    assert [one["value"] for one in done.measured.outcomes["a"]] == [0, 2, 4]
    assert [one["value"] for one in done.measured.outcomes["b"]] == [0, 3, 6]
    assert len(fake.calls) == 3 * 2 + 2 * 3


def test_quick_takes_recorded_rates(fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "recorded_rates", lambda name: {"side": 0.5})
    done = running.run(fake, "quick", 1, JobLog(tmp_path / "log"), 1)
    assert (done.measured.rates, done.tuning, len(fake.calls)) == ({"side": 0.5}, {}, 2)


def test_resume_measures_only_what_is_missing(fake: Fake, tmp_path: Path) -> None:
    path = tmp_path / "log"
    first = running.run(fake, "full", 2, JobLog(path), 1)
    fake.calls.clear()
    assert running.run(fake, "full", 2, JobLog(path), 1).measured.outcomes == first.measured.outcomes
    assert fake.calls == []
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:-2]))
    running.run(fake, "full", 2, JobLog(path), 1)
    assert len(fake.calls) == 2


def test_changed_settings_and_code_are_measured_anew(
    fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log"
    running.run(fake, "full", 2, JobLog(path), 1)
    fake.calls.clear()
    fake.factor = 5
    done = running.run(fake, "full", 2, JobLog(path), 1)
    assert [settings["factor"] for settings, _ in fake.calls] == [5, 5]
    assert [one["value"] for one in done.measured.outcomes["a"]] == [0, 5]
    fake.calls.clear()
    monkeypatch.setattr(jobs, "_code", lambda: "other")
    running.run(fake, "full", 2, JobLog(path), 1)
    assert len(fake.calls) == 2 * 2 + 2 * 3


def test_a_line_that_was_cut_off_is_ignored(fake: Fake, tmp_path: Path) -> None:
    path = tmp_path / "log"
    running.run(fake, "full", 1, JobLog(path), 1)
    path.write_text(path.read_text()[:-10])
    assert len(JobLog(path).read()) == 7
