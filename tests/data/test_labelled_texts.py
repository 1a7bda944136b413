"""Texts and labels from tables or folders."""

import re

import pytest

from gatewise.data.labelled_texts import labelled_texts


def test_a_folder_for_each_class(tmp_path):
    for label, name, text in (("good", "b/2.txt", "fine\n"), ("good", "1.txt", "great"), ("bad", "1.txt", "poor")):
        path = tmp_path / "texts" / label / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "texts" / "README").write_text("no text")
    (tmp_path / "texts" / "bad" / ".hidden").write_text("no text")
    (tmp_path / "more.csv").write_text("text,label\nso so, middling \n")
    found = list(labelled_texts([tmp_path / "texts", tmp_path / "more.csv"], "text", "label"))
    assert found == [("poor", "bad"), ("great", "good"), ("fine\n", "good"), ("so so", "middling")]


def test_nothing_to_read(tmp_path):
    with pytest.raises(ValueError, match=re.escape(f"{tmp_path}: expected tables, or a folder for each class")):
        list(labelled_texts([tmp_path], "text", "label"))
    (tmp_path / "a.csv").write_text("text,label\na,b\nc, \n")
    with pytest.raises(ValueError, match="line 3: the label is empty"):
        list(labelled_texts([tmp_path / "a.csv"], "text", "label"))
