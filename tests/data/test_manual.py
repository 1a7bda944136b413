"""The text that every machine has, and its repeated passages."""

from pydoc_data.topics import topics

from gatewise.data.manual import manual_text, without_repeated_passages


def test_the_manual_has_every_topic_in_key_order():
    text = manual_text()
    position = 0
    for name in sorted(topics):
        position = text.index(topics[name], position) + len(topics[name])
    assert position == len(text)
    assert len(text) == sum(map(len, topics.values())) + len(topics) - 1


def test_repeated_passages_go_and_others_stay_as_they_are():
    training = "one\nand two\n\nthree\n\n\n   four"
    held_out = "ne\n\none\nand two\n\nfive\n\n\n\nfour  \n\nthree too"
    assert without_repeated_passages(held_out, training) == "ne\n\nfive\n\n\n\nthree too"


def test_the_manual_repeats_itself():
    text = manual_text()
    cut = len(text) // 10 * 9
    kept = without_repeated_passages(text[cut:], text[:cut])
    assert 0.5 < len(kept) / len(text[cut:]) < 1
    known = {passage.strip() for passage in text[:cut].split("\n\n")} - {""}
    assert not known & {passage.strip() for passage in kept.split("\n\n")}
