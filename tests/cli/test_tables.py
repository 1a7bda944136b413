"""Tables of scores: significant digits, and the better of model and baseline."""

from gatewise.cli.tables import scores_table


def rows(scores):
    return [[cell for cell in line.split("  ") if cell] for line in scores_table(scores).splitlines()]


def test_better_score_is_marked_beyond_four_decimals():
    found = rows({"test": {"forecasts": 20, "mae": 0.008800, "coverage": 0.8, "baseline_mae": 0.00876}})
    assert [[cell.strip() for cell in row] for row in found[:3]] == [
        ["part", "forecasts", "mae", "coverage"],
        ["test", "20", "0.008800", "0.8000"],
        ["test, baseline", "0.008760*"],
    ]
    assert found[3][0].startswith("* ")


def test_higher_accuracy_and_lower_error_are_better_and_counts_are_neither():
    table = scores_table(
        {
            "held_out": {"pairs": 9, "bleu": 12.5, "mae": 2.5, "baseline_mae": 3.0, "last_value_mae": 2.0},
            "held_out_baseline_copy": {"pairs": 9, "bleu": 1.5},
            "test": {"pairs": 5, "bleu": 1.25},
        }
    )
    lines = table.splitlines()
    assert [line.rpartition("  ")[0] != "" and line[: line.index("  ")] for line in lines[:-1]] == [
        "part",
        "held out",
        "held out, baseline",
        "held out, last value",
        "held out, baseline copy",
        "test",
    ]
    assert [word for word in table.split() if word.endswith("*") and len(word) > 1] == ["12.50*", "2.000*"]


def test_equal_scores_and_scores_alone_have_no_mark():
    assert "*" not in scores_table({"test": {"accuracy": 0.5, "baseline_accuracy": 0.5}, "held_out": {"accuracy": 0.6}})


def test_numbers_are_aligned():
    head, ours, baseline, _ = scores_table({"test": {"accuracy": 0.75, "baseline_accuracy": 0.5}}).splitlines()
    assert head.index("accuracy") + len("accuracy") == ours.index("*") == len(baseline)
