"""Sequences that are too many for memory: files that are mapped, patterns and folders of tables."""

import json

import pyarrow
import pyarrow.parquet
import pytest

import gatewise
from gatewise.data import row_collector
from gatewise.tasks import state_file
from gatewise.tasks.api import resume
from tests.tasks.small_sequences import SMALL, numeric_sequences


@pytest.fixture
def tables(tmp_path, monkeypatch):
    """The same sequences as one file and as a folder of several; the cache is empty."""
    monkeypatch.setenv("GATEWISE_CACHE", str(tmp_path / "cache"))
    rows = [json.loads(line) for line in numeric_sequences(tmp_path, "sequence").read_text().splitlines()]
    (tmp_path / "parts").mkdir()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "whole.parquet")
    for part in range(3):
        table = pyarrow.Table.from_pylist(rows[20 * part : 20 * part + 20])
        pyarrow.parquet.write_table(table, tmp_path / "parts" / f"{part}.parquet")
    return tmp_path


def test_they_are_learned_from_as_those_in_memory(tables, monkeypatch, capsys):
    in_memory = gatewise.train("numeric", data=tables / "whole.parquet", out=tables / "a", **SMALL)
    assert not (tables / "cache").exists()
    monkeypatch.setattr(row_collector, "IN_MEMORY", 1000)
    for name, data in (("b", tables / "parts"), ("c", tables / "parts" / "*.parquet")):
        capsys.readouterr()
        mapped = gatewise.train("numeric", data=data, out=tables / name, **SMALL)
        assert "sequences: too many for memory; written to" in capsys.readouterr().err
        assert mapped.final_scores() == in_memory.final_scores()
        assert mapped.evaluate() == in_memory.final_scores()
        assert mapped.predict([[[10, 0], [11, 0]]]) == in_memory.predict([[[10, 0], [11, 0]]])
        hashes = [json.loads((tables / run / "run.json").read_text())["sha256"] for run in ("a", name)]
        assert hashes[0] == hashes[1]
    # Nothing is left behind.
    assert not list((tables / "cache" / "sequences").iterdir())


def test_a_run_on_them_resumes_with_the_same_scores(tables, monkeypatch):
    monkeypatch.setattr(row_collector, "IN_MEMORY", 1000)
    monkeypatch.setattr(state_file, "SAVE_EVERY_SECONDS", 0.0)
    options = {"data": tables / "parts", "schedule": "constant", **SMALL}
    whole = gatewise.train("numeric", out=tables / "whole", **options)
    gatewise.train("numeric", out=tables / "run", max_minutes=1e-4, **options)
    assert resume(tables / "run", max_minutes=10).final_scores() == whole.final_scores()


def test_a_folder_without_tables(tmp_path):
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(ValueError, match=r"the folder has no tables"):
        gatewise.train("numeric", data=tmp_path, out=tmp_path / "run", **SMALL)
