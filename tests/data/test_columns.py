"""Words and tags in columns."""

import re

import pytest

from gatewise.data.columns import has_columns, read_tagged_words, read_words

UNIVERSAL = """# sent_id = 1
# text = I can't.
1\tI\tI\tPRON\tPRP\t_\t0\troot\t_\t_
2-3\tcan't\t_\t_\t_\t_\t_\t_\t_\t_
2\tca\tcan\tAUX\tMD\t_\t1\tdep\t_\t_
3\tn't\tnot\tPART\tRB\t_\t1\tdep\t_\t_
3.1\tgo\tgo\tVERB\tVB\t_\t_\t_\t_\t_

1\t#\t#\tSYM\tNN\t_\t0\troot\t_\t_
"""


def test_conll_u(tmp_path):
    path = tmp_path / "a.conllu"
    path.write_text(UNIVERSAL)
    assert read_tagged_words([path]) == [(["I", "ca", "n't"], ["PRON", "AUX", "PART"]), (["#"], ["SYM"])]
    assert read_tagged_words([path], "lemma", "5") == [(["I", "can", "not"], ["PRP", "MD", "RB"]), (["#"], ["NN"])]
    assert has_columns(path)


def test_columns_between_tabs_or_white_space(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("-DOCSTART- -X- O\n\nEU NNP B-ORG\r\n# # O\n\n \nNew York\tNNP\tB-LOC")
    assert read_tagged_words([path]) == [(["EU", "#"], ["B-ORG", "O"]), (["New York"], ["B-LOC"])]
    assert read_tagged_words([path], tag_column="2") == [(["EU", "#"], ["NNP", "#"]), (["New York"], ["NNP"])]
    assert read_words([path]) == [["EU", "#"], ["New York"]]
    assert not has_columns(path)


@pytest.mark.parametrize(
    ("name", "text", "columns", "told"),
    [
        ("a.conll", "", (), "there are no words in it"),
        ("a.conll", "a O\nb\n", (), "line 2: expected at least 2 columns, got 'b'"),
        ("a.conll", "a O\n", ("1", "3"), "line 1: expected at least 3 columns"),
        ("a.conll", "a O\n", ("form",), "no column 'form'; expected a number from 1; names are for files that end in"),
        ("a.conllu", UNIVERSAL, ("colour",), "no column 'colour'; expected a number from 1, or one of id, form"),
    ],
)
def test_malformed(tmp_path, name, text, columns, told):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(ValueError, match=re.escape(f"{path}: {told}")):
        read_tagged_words([path], *columns)
