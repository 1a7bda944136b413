"""Every study, with one seed and the smallest budget: its structure, not its verdict; and the committed results."""

import json
from pathlib import Path

import pytest

import gatewise
from gatewise.studies.folder import StudyFolder
from gatewise.studies.jobs import JobLog
from gatewise.studies.learning_rates import recorded_rates
from gatewise.studies.page import markdown_page
from gatewise.studies.record import read_record, record_of
from gatewise.studies.registry import studies
from gatewise.studies.running import run
from gatewise.studies.study import VERDICTS

RESULTS = sorted((Path(__file__).parents[2] / "docs" / "studies").glob("C*.json"))


@pytest.mark.parametrize("name", list(studies()))
def test_a_study_runs_concludes_and_writes_its_files(name, tmp_path):
    study, folder = studies()[name], StudyFolder(tmp_path)
    done = run(study, "tiny", 1, folder.log(name), workers=1)
    record = record_of(study, done, f"gatewise study {name}", workers=1, seconds=1.0)
    folder.write(study, record)
    assert record.conclusion.verdict.startswith(VERDICTS)
    assert record.verdict.endswith("(indicative)")
    again = read_record(tmp_path / f"{name}.json")
    assert again.conclusion == record.conclusion
    assert again.measured.outcomes == record.measured.outcomes
    assert again.facts == record.facts
    assert again.facts["prediction_sha256"] == study.prediction_hash
    assert again.facts["seeds"] == 1
    page = (tmp_path / f"{name}.md").read_text()
    for part in (study.claim, study.prediction.strip().splitlines()[0], study.literature[0].result):
        assert part in page
    for condition in record.measured.conditions:
        row = next(line for line in page.splitlines() if line.startswith(f"| {condition} | 0 |"))
        numbers = [value for value in record.measured.outcomes[condition][0].values() if not isinstance(value, list)]
        assert row.count(" | ") == len(numbers) + 1
    assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (tmp_path / "index.html").read_text()


@pytest.mark.parametrize("wrong", [5, None, [1], b"C6"])
def test_names_of_a_wrong_type(wrong):
    with pytest.raises(TypeError, match=r"^names: expected the name of a study, such as 'C6', or a list of them, got "):
        gatewise.study(wrong)


def test_finished_measurements_are_kept(tmp_path, monkeypatch):
    study, folder = studies()["C6"], StudyFolder(tmp_path)
    first = run(study, "tiny", 1, folder.log("C6"), workers=1)
    monkeypatch.setattr(type(study), "measure", lambda *_: pytest.fail("measured again"))
    again = run(study, "tiny", 1, folder.log("C6"), workers=1)
    assert again.measured.outcomes == first.measured.outcomes


def test_processes_measure_the_same(tmp_path):
    study = studies()["C3"]
    alone = run(study, "tiny", 1, JobLog(tmp_path / "alone"), workers=1)
    together = run(study, "tiny", 1, JobLog(tmp_path / "together"), workers=2)
    assert together.measured.outcomes == alone.measured.outcomes


def test_an_interrupted_line_is_measured_again(tmp_path):
    study, folder = studies()["C3"], StudyFolder(tmp_path)
    first = run(study, "tiny", 1, folder.log("C3"), workers=1)
    log = tmp_path / "C3.jobs.jsonl"
    log.write_text(log.read_text()[:-20])
    again = run(study, "tiny", 1, folder.log("C3"), workers=1)
    assert again.measured.outcomes == first.measured.outcomes


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_committed_results_are_of_the_prediction_and_have_the_recorded_rates(path):
    record = json.loads(path.read_text(encoding="utf-8"))
    study = studies()[record["study"]]
    assert record["prediction_sha256"] == study.prediction_hash
    assert record["budget"] == "full"
    assert record["seeds"] >= 10
    assert record["learning_rates"] == recorded_rates(study.name)
    for suffix in (".png", ".svg"):
        assert path.with_suffix(suffix).exists()
    assert path.with_suffix(".md").read_text(encoding="utf-8") == markdown_page(study, read_record(path))


def test_there_are_committed_results():
    assert RESULTS
