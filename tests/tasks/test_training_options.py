"""The options of every task."""

import pytest

from gatewise.tasks.training_options import TrainingOptions


def test_the_norm_is_clipped_unless_values_are():
    assert TrainingOptions().clip_norm == 1.0
    assert TrainingOptions(clip_norm=5.0).clip_norm == 5.0
    assert TrainingOptions(clip_value=2.0).clip_norm is None


def test_both_kinds_of_clipping_exclude_each_other():
    with pytest.raises(ValueError, match="clip_norm and clip_value exclude each other"):
        TrainingOptions(clip_norm=1.0, clip_value=1.0)


def test_an_unknown_cell_is_told_with_the_known_ones():
    with pytest.raises(ValueError, match="unknown cell 'lstn'; did you mean lstm"):
        TrainingOptions(cell="lstn")


def test_a_cell_in_a_file_that_cannot_be_had(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no such file"):
        TrainingOptions(cell=f"{tmp_path / 'none.py'}:mine")
    (tmp_path / "cells.py").write_text("1 / 0")
    with pytest.raises(ValueError, match=r"cells.py cannot be run: ZeroDivisionError: division by zero"):
        TrainingOptions(cell=f"{tmp_path / 'cells.py'}:mine")
