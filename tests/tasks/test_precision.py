"""``precision="bf16-mixed"``: the recurrent layers multiply numbers of bfloat16 in every step of training."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import gatewise
from gatewise.kernels import Call
from gatewise.kernels.cpu import execution
from tests.kernels.engine import needs_engine
from tests.tasks.small import train_small
from tests.tasks.small_sequences import SMALL, labelled_texts, small_tokens

pytestmark = needs_engine


def language_model(folder: Path, precision: Any) -> None:
    train_small(folder, precision=precision, epochs=1)


def classifier(folder: Path, precision: Any) -> None:
    options = {**SMALL, **small_tokens(), "epochs": 1, "precision": precision}
    gatewise.train("classify", data=labelled_texts(folder), out=folder / "run", **options)


@pytest.mark.parametrize("train", [language_model, classifier])
@pytest.mark.parametrize(("precision", "products"), [("bf16-mixed", "bf16"), ("32", None)])
def test_products_of_training(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    train: Callable[[Path, Any], None],
    precision: str,
    products: str | None,
):
    found: dict[str, set[str | None]] = {"forward": set(), "backward": set()}

    def seen(name: str) -> None:
        original = getattr(execution, name)

        def record(call: Call, *rest: Any) -> Any:
            if name == "backward" or rest[0]:  # those whose gradients follow
                found[name].add(call.precision)
            return original(call, *rest)

        monkeypatch.setattr(execution, name, record)

    seen("forward")
    seen("backward")
    train(tmp_path, precision)
    assert found == {"forward": {products}, "backward": {products}}
    said = next(line for line in capsys.readouterr().err.splitlines() if line.startswith("backend: cpu"))
    assert ("products in bf16" in said) == (products == "bf16")
