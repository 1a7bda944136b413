"""What is read for prediction, and texts without a word."""

from gatewise.tasks.prediction_io import answer_texts, read_lines


def test_answers_stay_aligned_with_lines(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"one\r\n\r\n \ntwo\n\n")
    lines = list(read_lines([tmp_path / "a.txt"]))
    assert lines == ["one", "", " ", "two", ""]
    asked: list[str] = []

    def answer(texts):
        asked.extend(texts)
        return [text.upper() for text in texts]

    assert answer_texts(lines, answer) == ["ONE", None, None, "TWO", None]
    assert asked == ["one", "two"]
