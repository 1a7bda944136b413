"""Words and tags in columns."""

import re
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewise.data.columns import Columns, has_columns

UNIVERSAL = """# sent_id = 1
# text = I can't.
1\tI\tI\tPRON\tPRP\t_\t0\troot\t_\t_
2-3\tcan't\t_\t_\t_\t_\t_\t_\t_\t_
2\tca\tcan\tAUX\tMD\t_\t1\tdep\t_\t_
3\tn't\tnot\tPART\tRB\t_\t1\tdep\t_\t_
3.1\tgo\tgo\tVERB\tVB\t_\t_\t_\t_\t_

1\t#\t#\tSYM\tNN\t_\t0\troot\t_\t_
"""


@pytest.fixture
def write(tmp_path):
    def write(text, name="a.conll"):
        path = tmp_path / name
        path.write_text(text, newline="")
        return path

    return write


def read(path, notices=None, **columns):
    return list(Columns(**columns).tagged_words([path], (lambda _: None) if notices is None else notices.append))


def test_conll_u(write):
    path = write(UNIVERSAL, "a.conllu")
    assert read(path) == [(["I", "ca", "n't"], ["PRON", "AUX", "PART"]), (["#"], ["SYM"])]
    expected = [(["I", "can", "not"], ["PRP", "MD", "RB"]), (["#"], ["NN"])]
    assert read(path, word="lemma", tag="5") == expected
    path.write_text("% another comment\n" + UNIVERSAL)
    assert read(path, word="lemma", tag="5", comments="%") == expected
    assert has_columns(path)


def test_columns_separated_by_blanks(write):
    path = write("-DOCSTART- -X- O\n\nEU  NNP\tB-ORG \r\n# # O\n\n \t\nYork NNP B-LOC", "a.txt")
    assert read(path) == [(["EU", "#"], ["B-ORG", "O"]), (["York"], ["B-LOC"])]
    assert read(path, tag="2") == [(["EU", "#"], ["NNP", "#"]), (["York"], ["NNP"])]
    assert list(Columns().read_words(path)) == [["EU", "#"], ["York"]]
    assert not has_columns(path)


def test_columns_separated_by_tabs(write):
    path = write("New York\tNNP\tB-LOC\r\n# 1\t\tO \n\n \tX\tO")
    assert read(path) == [(["New York", "# 1"], ["B-LOC", "O"]), ([" "], ["O"])]


@pytest.mark.parametrize("space", ["\u00a0", "\u202f", "\u2009", "\u3000", "\u2028", "\x85", "\x1c", "\x0b", "\x0c"])
@pytest.mark.parametrize("separator", [" ", "\t"])
def test_only_space_and_tab_separate(write, space, separator):
    number = f"10{space}000"
    path = write(f"{number}{separator}NUM\na{separator}X\n{space}{separator}X\n")
    assert read(path) == [([number, "a", space], ["NUM", "X", "X"])]


@pytest.mark.parametrize(
    ("text", "words", "count"),
    [
        # MultiCoNER 2022; GermEval 2014; tab-separated rows; CoNLL-2012; several lines as in CoNLL-U.
        ("# id 5239d808\tdomain=en\n# _ _ O\nb _ _ O\n\n# id 77\tdomain=en\nc _ _ O\n", "# b c", 2),
        ("#\thttp://de.wikipedia.org/wiki/A\t[2009-10-17]\n1\ta\tX\tO\n2\t#\tX\tO\n", "1 2", 1),
        ("# id 7\n#\tO\n#b\tO\n\n# id 8\nc\tO\n", "# #b c", 2),
        ("#begin document (bc/cctv/00); part 000\na b c d e O\n\nc d e f g O\n\n#end document\n", "a c", 2),
        ("# sent_id = 1\n# text = a b c d e\n1\ta\tX\n\n# sent_id = 2\n# text = c\n1\tc\tX\n", "1 1", 4),
    ],
)
def test_first_lines_unlike_all_rows_are_comments(write, text, words, count):
    notices = []
    assert [word for row, _ in read(write(text), notices) for word in row] == words.split()
    (notice,) = notices
    assert f"skipped {count} comment line" in notice
    assert "the first in line 1: '#" in notice


def test_words_that_begin_with_a_hash_are_words(write):
    notices = []
    text = "#\tO\n1\tO\n\n#metoo\tB-X\n# \tO\n\n#\tO\n"
    assert read(write(text + "\nthe\tO\n"), notices) == [
        (["#", "1"], ["O", "O"]),
        (["#metoo", "# "], ["B-X", "O"]),
        (["#"], ["O"]),
        (["the"], ["O"]),
    ]
    assert read(write("#\tO\n"), notices) == [(["#"], ["O"])]
    assert notices == []


def test_comments_by_their_beginning(write):
    path = write("% x\n%% O\n\n# O\n// O\n")
    assert read(path, comments="% ") == [(["%%"], ["O"]), (["#", "//"], ["O", "O"])]
    assert read(path, comments="%") == [(["#", "//"], ["O", "O"])]
    assert read(write("# id\na O\n\n# 7\nb O\n"), comments="") == [(["#", "a"], ["id", "O"]), (["#", "b"], ["7", "O"])]


def test_a_comment_or_a_word(write):
    text = "# en\na O\n\n# de\nb O\n\n# fr\nc O\n"
    with pytest.raises(ValueError, match=re.escape("line 1: '# en': a comment, as every sentence begins with #, or")):
        read(write(text))
    assert read(write(text), comments="# ") == [(["a"], ["O"]), (["b"], ["O"]), (["c"], ["O"])]
    assert read(write(text), comments="")[0] == (["#", "a"], ["en", "O"])
    assert read(write(text + "\nd O\n"))[0] == (["#", "a"], ["en", "O"])


def test_sentences_may_differ_in_columns_where_the_tag_is_named(write):
    # As in CoNLL-2009 and 2012, with a column for each predicate of a sentence.
    path = write("a X A0\nb Y _\n\nc X A0 A1\nd Y _ _\n")
    assert read(path, tag="2") == [(["a", "b"], ["X", "Y"]), (["c", "d"], ["X", "Y"])]
    with pytest.raises(ValueError, match="line 4: expected 3 columns, as in the other rows, got 4: 'c X A0 A1'"):
        read(path)
    with pytest.raises(ValueError, match="line 3: expected 2 columns, as in the other rows, got 3: '10 000 X'"):
        read(write("a X\nb X\n10 000 X\n\nc X A\n"), tag="2")


def test_locations_of_tags(write):
    path = write("# id\na\tX\n\n\nb\tY\n")
    assert list(Columns().locations_of_tags([path])) == [(f"{path}: line 2", "X"), (f"{path}: line 5", "Y")]


@pytest.mark.parametrize(
    ("name", "text", "columns", "message"),
    [
        ("a.conll", "", (), "there are no words in it"),
        ("a.conll", "a\nb\n", (), "line 1: expected at least 2 columns, got 1: 'a'"),
        ("a.conll", "a\tO\nb\t\n", (), "line 2: empty word or tag in 'b '"),
        ("a.conll", "a O\nb\n", (), "line 2: expected 2 columns, as in the other rows, got 1: 'b'"),
        ("a.conll", "a O\nb O\n10 000 O\n", (), "line 3: expected 2 columns, as in the other rows, got 3: '10 000 O'"),
        ("a.conll", "New York\nb\tO\nc\tO\n", (), "line 1: expected 2 columns, as in the other rows, got 1: 'New"),
        ("a.conll", "a O\n# b O\n", ("1", "2"), "line 2: expected 2 columns, as in the other rows, got 3: '# b O'; if"),
        ("a.conllu", UNIVERSAL + "2\t4\n", (), "line 10: expected 10 columns, as in the other rows, got 2: '2 4'"),
        ("a.conll", "a O\n", ("1", "3"), "line 1: expected at least 3 columns"),
        ("a.conll", "a O\n", ("form",), "no column 'form'; expected a number from 1; names are for files that end in"),
        ("a.conllu", UNIVERSAL, ("colour",), "no column 'colour'; expected a number from 1, or one of id, form"),
    ],
)
def test_malformed(write, name, text, columns, message):
    path = write(text, name)
    with pytest.raises(ValueError, match=re.escape(f"{path}: {message}")):
        list(Columns(*columns).tagged_words([path]))


WORDS = st.text(st.sampled_from("ab#%\u00a0\u2028\x85-_1"), min_size=1, max_size=4).filter(
    lambda word: not word.startswith("-DOCSTART-")
)
SENTENCES = st.lists(st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=4), min_size=1, max_size=4)


@given(SENTENCES, st.sampled_from([" ", "\t"]), st.sampled_from(["\n", "\r\n"]))
def test_what_was_written_is_read(tmp_path_factory, sentences, separator, end):
    path = tmp_path_factory.getbasetemp() / "written.conll"
    lines = [end.join(separator.join(pair) for pair in sentence) for sentence in sentences]
    path.write_text((end + end).join(lines) + end, newline="", encoding="utf-8")
    expected = [([word for word, _ in sentence], [tag for _, tag in sentence]) for sentence in sentences]
    assert read(path, comments="") == expected
    # Rows all of one form are never taken for comments: they are read, or there is a question.
    notices = []
    if len(sentences) > 2 and all(sentence[0][0].startswith("#") for sentence in sentences):
        with suppress(ValueError):
            assert read(path, notices) == expected
    else:
        assert read(path, notices) == expected
    assert notices == []


GOOD = "# id 1\tx\nEU\u00a01 NNP B-ORG\n# NNP O\r\n\n# id 2\tx\n-DOCSTART- X O\nYork NNP B-LOC\n"


@given(st.data())
def test_any_change_of_a_file_is_read_or_rejected_with_its_name(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / data.draw(st.sampled_from(["changed.conll", "changed.conllu"]))
    content = bytearray((UNIVERSAL if path.suffix == ".conllu" else GOOD).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(0, len(content)))
        piece = data.draw(st.binary(max_size=2) | st.sampled_from([b"\n\n", b"\t", b" ", b"#", b"# ", b"\xc2\xa0"]))
        content[position : position + data.draw(st.integers(0, 3))] = piece
    path.write_bytes(content)
    columns = Columns(*(data.draw(st.sampled_from([None, "1", "2"])) for _ in range(2)))
    found, error = [], str(path)
    try:
        found = list(columns.tagged_words([path]))
    except ValueError as refused:
        error = str(refused)
    assert error.startswith(str(path))
    assert all(words and all(words) and all(tags) and len(words) == len(tags) for words, tags in found)
    if found:
        assert [tag for _, tags in found for tag in tags] == [tag for _, tag in columns.locations_of_tags([path])]
