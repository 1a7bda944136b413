"""For tests of single steps: which of them went the way that sequences take."""

import pytest

from gatewise.layers import recurrent


def watched(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """One entry for each call that goes the long way."""
    seen: list[object] = []
    original = recurrent.prepare

    def counted(*arguments: object) -> object:
        seen.append(arguments)
        return original(*arguments)

    monkeypatch.setattr(recurrent, "prepare", counted)
    return seen
