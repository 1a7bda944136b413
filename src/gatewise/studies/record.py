"""The results of a study as a file: everything that its page and its figure are made of."""

import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gatewise.studies.measurements import Measurements
from gatewise.studies.running import Run
from gatewise.studies.statistics import Comparison
from gatewise.studies.study import Conclusion, Study, Table
from gatewise.writing import atomic_write

_FACTS = (
    "budget",
    "seeds",
    "prediction_sha256",
    "date",
    "machine",
    "versions",
    "command",
    "minutes",
    "processor_minutes",
)


@dataclass(frozen=True)
class Record:
    """The results of a study.

    Attributes:
        study: its name.
        conclusion: what the measurements say about the claim.
        measured: the measurements.
        facts: budget, number of seeds, date, machine, versions, command, time, and the digest of the prediction.
        tuning: the scores by which learning rates were chosen.
    """

    study: str
    conclusion: Conclusion
    measured: Measurements
    facts: Mapping[str, Any]
    tuning: Mapping[str, Mapping[str, float]]

    @property
    def verdict(self) -> str:
        """The verdict, marked if it rests on a quick run."""
        return self.conclusion.verdict + ("" if self.facts["budget"] == "full" else " (indicative)")

    def write(self, path: Path) -> None:
        """Write the results as JSON."""
        measured = self.measured
        content = {
            "study": self.study,
            **self.facts,
            "verdict": self.conclusion.verdict,
            "because": self.conclusion.because,
            "learning_rates": measured.rates,
            "tuning": self.tuning,
            "comparisons": [asdict(one) for one in self.conclusion.comparisons],
            "tables": [asdict(one) for one in self.conclusion.tables],
            "notes": self.conclusion.notes,
        }
        with atomic_write(path) as file:
            file.write(_json(content, measured).encode())


def record_of(study: Study, run: Run, command: str, workers: int, seconds: float) -> Record:
    """The record of a finished run.

    Args:
        study: the study.
        run: its run.
        command: the command line that repeats it.
        workers: the number of processes.
        seconds: the elapsed time.
    """
    import torch

    import gatewise

    facts = {
        "budget": run.measured.budget,
        "seeds": len(run.measured.seeds),
        "prediction_sha256": study.prediction_hash,
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{_processor()}, {workers} {'process' if workers == 1 else 'processes'} of one thread",
        "versions": {
            "gatewise": gatewise.__version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
        },
        "command": command,
        "minutes": round(seconds / 60, 1),
        "processor_minutes": round(run.seconds / 60, 1),
    }
    return Record(study.name, study.conclude(run.measured), run.measured, facts, run.tuning)


def read_record(path: Path) -> Record:
    """The record in a file.

    Raises:
        ValueError: when the file is not one.
    """
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        conditions = content["conditions"]
        measured = Measurements(
            content["budget"],
            {one["name"]: one["settings"] for one in conditions},
            {one["name"]: one["outcomes"] for one in conditions},
            range(content["seeds"]),
            content["learning_rates"],
        )
        conclusion = Conclusion(
            content["verdict"],
            content["because"],
            tuple(
                Table(one["title"], tuple(one["columns"]), tuple(tuple(row) for row in one["rows"]))
                for one in content["tables"]
            ),
            tuple(Comparison(**{**one, "differences": tuple(one["differences"])}) for one in content["comparisons"]),
            tuple(content["notes"]),
        )
        return Record(
            content["study"],
            conclusion,
            measured,
            {name: content[name] for name in _FACTS},
            content["tuning"],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: expected the results of a study, got a file without them ({error})") from error


def _json(content: dict[str, Any], measured: Measurements) -> str:
    """The content, then the conditions with a line for each seed."""

    def line(value: Any) -> str:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)

    conditions: list[str] = []
    for name in measured.conditions:
        outcomes = ",\n   ".join(line(outcome) for outcome in measured.outcomes[name])
        settings = line(measured.settings[name])
        conditions.append(f'{{"name": {line(name)}, "settings": {settings},\n  "outcomes": [\n   {outcomes}]}}')
    head = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False).removesuffix("\n}")
    return head + ',\n "conditions": [\n ' + ",\n ".join(conditions) + "\n ]\n}\n"


def _processor() -> str:
    """The model of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()
