"""The learning rates that the full runs chose; the quick ones use them."""

import json
from functools import cache
from pathlib import Path

_FILE = Path(__file__).with_name("learning_rates.json")


def recorded_rates(study: str) -> dict[str, float]:
    """The rates of a study, by what they were chosen for; empty for a study without any."""
    return dict(_recorded().get(study, {}))


@cache
def _recorded() -> dict[str, dict[str, float]]:
    return json.loads(_FILE.read_text(encoding="utf-8"))


def rates_of(results: Path) -> dict[str, dict[str, float]]:
    """The rates in a folder of results of full runs, by study."""
    records = [json.loads(path.read_text(encoding="utf-8")) for path in results.glob("C*.json")]
    rates = {record["study"]: record["learning_rates"] for record in records if record["budget"] == "full"}
    return {name: rates[name] for name in sorted(rates, key=lambda name: int(name[1:])) if rates[name]}


def record_rates(results: Path) -> None:
    """Write the rates in a folder of results into the file of the package, for developers of gatewise."""
    _FILE.write_text(json.dumps({**_recorded(), **rates_of(results)}, indent=2) + "\n", encoding="utf-8")
