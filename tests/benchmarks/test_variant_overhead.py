import pytest
import torch

from benchmarks import variant_overhead
from benchmarks.variant_overhead import VARIANTS, main, share_of_products, training_step
from gatewise.cells import lookup


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_computes_something_else_and_all_gradients(name: str):
    cell, options, plain = VARIANTS[name]
    own, other = training_step(cell, 2, 8, 3, **options)(), training_step(plain, 2, 8, 3)()
    assert len(own) == 1 + len(lookup(cell).groups)
    assert len(other) == 1 + len(lookup(plain).groups)
    assert not torch.allclose(own[0], other[0])
    assert (share_of_products(name, 64) == 1) == (not cell.startswith("lstm_projected"))


def test_products_of_a_projection():
    """Four gates of (H, I + P) and P of H, over four of (H, I + H)."""
    assert share_of_products("proj_size=H/4", 64) == (4 * (1 + 0.25) + 0.25) / 8
    assert share_of_products("proj_size=H/2", 64) == (4 * (1 + 0.5) + 0.5) / 8


def test_the_table(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    threads = torch.get_num_threads()
    monkeypatch.setattr(variant_overhead, "CORE", ((1, 4, 3), (2, 4, 3)))
    main(["--pairs", "2", "--threads", str(threads), "--variants", "lstm_layer_norm", "variational=0.3"])
    head, _, *rows, mean = capsys.readouterr().out.splitlines()
    assert head == "| B, H, T | lstm_layer_norm | variational=0.3 |"
    assert [row.split(" | ")[0] for row in rows] == ["| 1, 4, 3", "| 2, 4, 3"]
    assert mean.startswith("| geometric mean | ")
    assert mean.count("×") == 2


def test_products_are_beside_times_where_there_are_fewer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    threads = torch.get_num_threads()
    monkeypatch.setattr(variant_overhead, "CORE", ((1, 4, 3), (2, 8, 3)))
    main(["--pairs", "2", "--threads", str(threads), "--variants", "proj_size=H/4"])
    *_, first, second, mean = capsys.readouterr().out.splitlines()
    assert all(line.endswith(", products 0.66× |") for line in (first, second, mean))
