"""A trained language model: scores, text, next tokens."""

import csv
import itertools
import math
import re

import pytest
import torch
from torch.testing import assert_close

import gatewise
from gatewise.tasks.language_model import scores
from tests.tasks.small import TEXT, train_small


@pytest.fixture(scope="module", params=["char", "word", "bpe"])
def trained(request, tmp_path_factory):
    changes = {"char": {}, "word": {"window": 20, "epochs": 8}, "bpe": {"vocabulary_size": 270}}[request.param]
    return train_small(tmp_path_factory.mktemp(request.param), unit=request.param, lr=0.03, **changes)


def test_loading_gives_the_same_model(trained):
    again = gatewise.load(trained.folder.path)
    assert_close(again.model.state_dict(), trained.model.state_dict(), rtol=0, atol=0)
    assert gatewise.evaluate(trained.folder.path) == trained.evaluate() == trained.final_scores()


def test_the_scores_are_those_of_one_plain_pass(trained, tmp_path):
    path = tmp_path / "text"
    path.write_text(TEXT)
    found = trained.evaluate(path)["data"]
    tokens = trained.vocabulary.encode(TEXT)
    with torch.no_grad():
        logits, _ = trained.model(tokens[:-1, None])
    nats = -logits[:, 0].double().log_softmax(-1).gather(1, tokens[1:, None]).sum().item()
    assert found["tokens"] == len(tokens) - 1
    assert found["loss"] == pytest.approx(nats / (len(tokens) - 1), rel=1e-6)
    if trained.vocabulary.unit != "word":
        scored_characters = len(TEXT) - len(trained.vocabulary.name(int(tokens[0])))
        assert found["bits_per_character"] == pytest.approx(nats / math.log(2) / scored_characters, rel=1e-6)
    if trained.vocabulary.unit != "char":
        assert found["perplexity"] == pytest.approx(math.exp(nats / (len(tokens) - 1)), rel=1e-6)


def test_training_and_evaluation_score_in_one_way(trained):
    name = "perplexity" if trained.options.unit == "word" else "bits_per_character"
    with trained.folder.metrics.open(newline="") as file:
        held_out = [float(row[f"held_out_{name}"]) for row in csv.DictReader(file) if row[f"held_out_{name}"]]
    assert min(held_out) == pytest.approx(trained.evaluate()["held_out"][name], rel=1e-6)


def test_scores_do_not_depend_on_the_window(trained, monkeypatch):
    before = trained.evaluate()["held_out"]["loss"]
    monkeypatch.setattr(scores, "_WINDOW", 7)
    assert trained.evaluate()["held_out"]["loss"] == pytest.approx(before, rel=1e-6)


def test_the_scores_of_tokens_add_up_to_the_score_of_the_text(trained, tmp_path):
    text = TEXT * 2
    (tmp_path / "text").write_text(text)
    whole = trained.evaluate([tmp_path / "text"])["data"]
    parts = list(trained.score(text, top=3))
    assert [part.position for part in parts] == list(range(1, int(whole["tokens"]) + 1))
    total = math.fsum(part.log_probability for part in parts)
    assert -total / len(parts) == pytest.approx(whole["loss"], rel=1e-6)
    names = [trained.vocabulary.name(int(token)) for token in trained.vocabulary.encode(text)]
    for part in parts:
        assert part.token == names[part.position]
        values = [value for _, value in part.top]
        assert len(values) == 3
        assert values == sorted(values, reverse=True)
        likely = [value for name, value in part.top if name == part.token]
        if likely:
            assert max(likely) == pytest.approx(math.exp(part.log_probability), rel=1e-5)
        else:
            assert math.exp(part.log_probability) <= values[-1]


def test_text_written_token_by_token_is_what_the_whole_sequence_would_choose(trained):
    text = trained.generate("the quick", 30, temperature=0)
    prompt = trained.vocabulary.encode("the quick")
    written = list(itertools.islice(trained._sample("the quick", 30, 0, None, None, torch.Generator()), 30))
    assert trained.vocabulary.decode(written) == text
    tokens = torch.cat([prompt, torch.tensor(written)])
    with torch.no_grad():
        logits, _ = trained.model(tokens[:-1, None])
    if trained.vocabulary.unknown is not None:
        logits[..., trained.vocabulary.unknown] = float("-inf")
    assert logits[len(prompt) - 1 :, 0].argmax(-1).tolist() == written


def test_a_seed_repeats_a_text_and_no_seed_does_not(trained):
    options = {"temperature": 1.5, "top_k": 20, "top_p": 0.95}
    path = trained.folder.path
    text = gatewise.predict(path, "the", 60, seed=3, **options)
    assert gatewise.predict(path, "the", 60, seed=3, **options) == text
    assert gatewise.predict(path, "the", 60, seed=4, **options) != text
    assert gatewise.predict(path, "the", 60, **options) != gatewise.predict(path, "the", 60, **options)


def test_streamed_pieces_are_the_text(trained):
    assert "".join(trained.stream("the", 40, seed=0)) == trained.generate("the", 40, seed=0)
    assert trained.generate("the", 0) == ""
    assert len(list(trained._sample("", 5, 1.0, None, None, torch.Generator()))) == 5


def test_nothing_unknown_is_written(trained):
    unknown = trained.vocabulary.unknown
    if unknown is not None:
        assert unknown not in list(trained._sample("dog", 300, 5.0, None, None, torch.Generator()))


def test_the_most_likely_next_tokens(trained):
    found = trained.next("the quick brown", 4)
    with torch.no_grad():
        logits, _ = trained.model(trained.vocabulary.encode("the quick brown")[:, None])
    values, tokens = logits[-1, 0].softmax(-1).topk(4)
    assert [name for name, _ in found] == [trained.vocabulary.name(int(token)) for token in tokens]
    assert [value for _, value in found] == pytest.approx(values.tolist())
    assert len(trained.next("the", 10**6)) == trained.vocabulary.size


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda model: model.next("the", 0), "next: expected a number of tokens, at least 1, got 0"),
        (lambda model: model.generate("the", -1), "length: expected a number of tokens, at least 0, got -1"),
        (lambda model: model.generate("the", 1, top_k=0), "top_k: expected a number at least 1, got 0"),
        (lambda model: model.score("the dog", top=0), "top_k: expected a number at least 1, got 0"),
        (lambda model: list(model.score("")), "the text has 0 tokens"),
    ],
)
def test_bad_questions(trained, ask, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        ask(trained)


def test_a_prompt_of_white_space_has_no_words(tmp_path):
    trained = train_small(tmp_path, unit="word", window=20)
    with pytest.raises(ValueError, match=re.escape("prompt: '  ' has no tokens (unit word)")):
        trained.generate("  ")


def spoil_weights(run):
    run.weights.write_bytes(run.weights.read_bytes()[:200])


def spoil_vocabulary(run):
    text = run.vocabulary.read_text()
    run.vocabulary.write_text(text.replace("z", "{"))


def spoil_task(run):
    run.description.write_text(run.description.read_text().replace('"lm"', '"tagger"'))


def spoil_width(run):
    run.config.write_text(run.config.read_text().replace("hidden = 8", "hidden = 9"))


def spoil_option(run):
    run.config.write_text(run.config.read_text() + "colour = 3\n")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (spoil_weights, "weights.safetensors: not a file of weights, or a corrupt one"),
        (spoil_vocabulary, "vocabulary.json: not the vocabulary that"),
        (spoil_task, "unknown task 'tagger'; the tasks are: "),
        (spoil_width, "weights of another model"),
        (spoil_option, "unknown option 'colour'"),
        (lambda run: run.weights.unlink(), "no weights yet: the run ended before its first held-out score"),
        (lambda run: run.vocabulary.write_text("[]"), "vocabulary.json: not the vocabulary that"),
    ],
)
def test_a_corrupt_or_foreign_run(tmp_path, spoil, message):
    run = train_small(tmp_path).folder
    spoil(run)
    with pytest.raises(ValueError, match=re.escape(message)):
        gatewise.load(run.path)


def test_data_that_has_changed(tmp_path):
    trained = train_small(tmp_path)
    (tmp_path / "text.txt").write_text("something else")
    with pytest.raises(ValueError, match=r"the data has changed since the run began .* or name one with --data"):
        trained.evaluate()
