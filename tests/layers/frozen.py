"""For tests of what is laid out for weights that stay: those of every layer do."""

from collections import Counter

import pytest

from gatewise.kernels.cpu import weights


class _Every(Counter[int]):
    def __contains__(self, key: object) -> bool:
        return True

    def __bool__(self) -> bool:
        return True


@pytest.fixture
def all_frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if every layer were used inside its `frozen`."""
    monkeypatch.setattr(weights, "_frozen", _Every())
    monkeypatch.setattr(weights, "_cache", {})
